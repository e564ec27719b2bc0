//! Which addresses a connector may dial.
//!
//! The rule: what counts is the address that is dialled, not the name: a name that leads to this machine, to a private network or to a
//! cloud's metadata is refused when it is looked up, each time. `private: true` grants the first two; addresses of the link are granted to
//! nobody.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};

/// Looks names up, and at what they lead to.
#[derive(Clone, Copy, Debug)]
pub struct Guarded {
    pub private: bool,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let private = self.private;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if let Some(why) = found.iter().find_map(|address| refused(address.ip(), private)) {
                return Err(format!("`{}` {why}", name.as_str()).into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// An address in the URL itself is never looked up.
pub fn refuse_literal(url: &Url, private: bool) -> Result<(), String> {
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
        Class::Never => Some("is an address of the link, of a group or of nobody, which is never dialled"),
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

fn class_v4(ip: Ipv4Addr) -> Class {
    let [a, b, ..] = ip.octets();
    let shared = a == 100 && (64..128).contains(&b);
    if ip.is_link_local() || ip.is_multicast() || ip.is_broadcast() || a == 0 || a >= 240 {
        Class::Never
    } else if ip.is_loopback() || ip.is_private() || shared {
        Class::Private
    } else {
        Class::Open
    }
}

fn class_v6(ip: Ipv6Addr) -> Class {
    // an address of the old kind in a new one: mapped, or behind a translator
    let segments = ip.segments();
    let translated = segments[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
    if let Some(old) = ip.to_ipv4_mapped().or_else(|| {
        let [.., a, b, c, d] = ip.octets();
        translated.then(|| Ipv4Addr::new(a, b, c, d))
    }) {
        return class_v4(old);
    }
    if ip.is_unicast_link_local() || ip.is_multicast() || ip.is_unspecified() {
        Class::Never
    } else if ip.is_loopback() || ip.is_unique_local() {
        Class::Private
    } else {
        Class::Open
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn what_counts_is_the_address_in_every_disguise() {
        let of = |text: &str| class(text.parse().unwrap());
        for open in ["93.184.216.34", "2606:2800:220:1::1", "100.128.0.1"] {
            assert_eq!(of(open), Class::Open, "{open}");
        }
        for private in
            ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "::1", "fd00::1", "::ffff:10.0.0.1"]
        {
            assert_eq!(of(private), Class::Private, "{private}");
        }
        for never in [
            "169.254.169.254",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "fe80::1",
            "::",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
        ] {
            assert_eq!(of(never), Class::Never, "{never}");
        }
    }

    #[test]
    fn an_address_in_the_url_is_looked_at_too() {
        let refuse = |text: &str, private| refuse_literal(&Url::parse(text).unwrap(), private);
        assert!(refuse("http://127.0.0.1:8080/", false).unwrap_err().contains("`private: true`"));
        assert_eq!(refuse("http://127.0.0.1:8080/", true), Ok(()));
        assert!(refuse("http://169.254.169.254/latest", true).unwrap_err().contains("never dialled"));
        assert!(refuse("http://2852039166/", true).is_err(), "the same address as a number");
        assert_eq!(refuse("https://scores.example.com/", false), Ok(()));
    }
}
