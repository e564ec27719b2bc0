//! Which addresses a connector may dial.
//!
//! The rule: what counts is the address that is dialled, not the name: of what a name leads to, addresses of this machine, of private
//! networks and of a cloud's metadata are left out, each time that it is looked up. `private: true` grants the first two; addresses of the link, and
//! those where clouds keep credentials, are granted to nobody.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};

/// Looks names up, and at what they lead to.
#[derive(Clone, Copy, Debug)]
pub struct Guarded {
    pub private: bool,
}

/// A name that leads nowhere that may be dialled.
#[derive(Debug)]
struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// Whether an address was refused, so that asking again is of no use.
pub fn was_refused(failed: &reqwest::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(failed);
    while let Some(next) = cause {
        if next.is::<Refused>() {
            return true;
        }
        cause = next.source();
    }
    false
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let private = self.private;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let open = dialled(name.as_str(), &found, private)?;
            Ok(Box::new(open.into_iter()) as Addrs)
        })
    }
}

/// Of the addresses of a name those that may be dialled.
fn dialled(name: &str, found: &[SocketAddr], private: bool) -> Result<Vec<SocketAddr>, Refused> {
    let open: Vec<SocketAddr> =
        found.iter().copied().filter(|address| refused(address.ip(), private).is_none()).collect();
    match found.first() {
        Some(first) if open.is_empty() => {
            let why = refused(first.ip(), private).unwrap_or_default();
            Err(Refused(format!("`{name}` leads to {}, which {why}", first.ip())))
        }
        _ => Ok(open),
    }
}

/// The address of a connector as the job writes it: with no password in it, and nothing behind its path.
pub fn address(text: &str, private: bool) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|e| format!("`{text}` is no address: {e}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a user or a password has no place in the address: send it in `headers`".to_owned());
    }
    if !["http", "https"].contains(&url.scheme()) {
        return Err(format!("`{text}` is no address of http or https"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("`{text}` has something behind its path, where the paths of the plugin stand"));
    }
    literal(&url, private)?;
    Ok(url)
}

/// An address in the URL itself is never looked up.
pub fn literal(url: &Url, private: bool) -> Result<(), String> {
    let host = url.host_str().ok_or_else(|| format!("`{url}` names no host"))?;
    let Ok(ip) = host.trim_matches(['[', ']']).parse::<IpAddr>() else { return Ok(()) };
    match refused(ip, private) {
        None => Ok(()),
        Some(why) => Err(format!("{ip} {why}")),
    }
}

/// Why an address is not dialled.
fn refused(ip: IpAddr, private: bool) -> Option<&'static str> {
    match class(ip) {
        Class::Open => None,
        Class::Private if private => None,
        Class::Private => {
            Some("is an address of a private network or of this machine: grant that with `private: true`")
        }
        Class::Never => {
            Some("is an address of the link, of a group, of a cloud's metadata or of nobody, which is never dialled")
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Class {
    Open,
    Private,
    Never,
}

fn class(ip: IpAddr) -> Class {
    match ip {
        IpAddr::V4(ip) => class_v4(ip),
        IpAddr::V6(ip) => class_v6(ip),
    }
}

/// Where clouds hand out credentials outside of the link: Alibaba, Azure, Oracle, Scaleway, Google.
const METADATA: [IpAddr; 5] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// All services of AWS of an instance or a pod are below this: fd00:ec2::/32.
const AWS: [u16; 2] = [0xfd00, 0xec2];

fn class_v4(ip: Ipv4Addr) -> Class {
    let [a, b, c, _] = ip.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let special = [a, b, c] == [192, 0, 0] || a == 198 && (b == 18 || b == 19);
    let nobody = a == 0 || a >= 240 || ip.is_documentation();
    if ip.is_link_local() || ip.is_multicast() || nobody || METADATA.contains(&IpAddr::V4(ip)) {
        Class::Never
    } else if ip.is_loopback() || ip.is_private() || shared || special {
        Class::Private
    } else {
        Class::Open
    }
}

fn class_v6(ip: Ipv6Addr) -> Class {
    let segments = ip.segments();
    if METADATA.contains(&IpAddr::V6(ip)) || segments[..2] == AWS {
        Class::Never
    } else if let Some(old) = inner(ip) {
        class_v4(old)
    } else if ip.is_unicast_link_local() || ip.is_multicast() || ip.is_unspecified() {
        Class::Never
    } else if segments[0] == 0x2001 && (segments[1] == 0 || segments[1] == 0xdb8) {
        // an address of the old kind in a disguise of its own (Teredo), or one of examples
        Class::Never
    } else if ip.is_loopback() || ip.is_unique_local() || segments[0] & 0xffc0 == 0xfec0 {
        Class::Private
    } else {
        Class::Open
    }
}

/// An address of the old kind in a new one: mapped, compatible, behind a translator or a relay.
fn inner(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = ip.segments();
    let old = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => old(high, low),
        [0x64, 0xff9b, 1, _, _, _, high, low] => old(high, low),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => old(high, low),
        [0x2002, high, low, ..] => old(high, low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn what_counts_is_the_address_in_every_disguise() {
        let of = |text: &str| class(text.parse().unwrap());
        for open in ["93.184.216.34", "2606:2800:220:1::1", "100.128.0.1", "::ffff:93.184.216.34", "2002:5db8:d822::1"]
        {
            assert_eq!(of(open), Class::Open, "{open}");
        }
        for private in [
            "127.0.0.1",
            "127.9.9.9",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "::1",
            "fd00::1",
            "fec0::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::a00:1",
            "2002:7f00:1::",
        ] {
            assert_eq!(of(private), Class::Private, "{private}");
        }
        for never in [
            "169.254.169.254",
            "169.254.170.2",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "::ffff:192.0.0.192",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd00:ec2:1::1",
            "fd00:42::42",
            "fd20:ce::254",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "255.255.255.255",
            "fe80::1",
            "ff02::1",
            "::",
            "2001::1",
            "::ffff:169.254.169.254",
            "::ffff:0.0.0.0",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::",
        ] {
            assert_eq!(of(never), Class::Never, "{never}");
        }
    }

    #[test]
    fn an_address_in_the_url_is_looked_at_in_every_spelling() {
        for spelling in
            ["127.0.0.1:8080", "0x7f.0.0.1", "0177.0.0.1", "2130706433", "127.1", "[::1]", "[::ffff:7f00:1]"]
        {
            let url = format!("http://{spelling}/");
            assert!(address(&url, false).unwrap_err().contains("`private: true`"), "{spelling}");
            assert!(address(&url, true).is_ok(), "{spelling}");
        }
        for spelling in ["169.254.169.254", "0xa9fea9fe", "2852039166", "0251.0376.0251.0376", "[fd00:ec2::254]"] {
            let url = format!("http://{spelling}/latest");
            assert!(address(&url, true).unwrap_err().contains("never dialled"), "{spelling}");
        }
        assert!(address("https://scores.example.com/v1", false).is_ok());
    }

    #[test]
    fn an_address_holds_no_password_and_nothing_behind_its_path() {
        let said = |text: &str| address(text, true).unwrap_err();
        let secret = said("https://me:hidden@scores.example.com/");
        assert!(secret.contains("send it in `headers`") && !secret.contains("hidden"), "{secret}");
        assert!(said("https://me@scores.example.com/").contains("`headers`"));
        assert!(said("https://scores.example.com/?key=1").contains("behind its path"));
        assert!(said("https://scores.example.com/#a").contains("behind its path"));
        assert!(said("file:///etc/passwd").contains("http or https"));
        assert!(said("scores").contains("no address"));
    }

    #[test]
    fn of_a_name_only_what_may_be_dialled_is() {
        let at = |text: &str| SocketAddr::new(text.parse().unwrap(), 0);
        let both = [at("10.0.0.1"), at("93.184.216.34")];
        assert_eq!(dialled("a.test", &both, false).unwrap(), [at("93.184.216.34")]);
        assert_eq!(dialled("a.test", &both, true).unwrap(), both);
        let said = dialled("a.test", &[at("127.0.0.1"), at("::1")], false).unwrap_err().to_string();
        assert!(said.starts_with("`a.test` leads to 127.0.0.1, which is"), "{said}");
        assert!(dialled("a.test", &[at("169.254.169.254")], true).is_err());
        assert!(dialled("a.test", &[], false).unwrap().is_empty());
    }
}
