//! TLS for the port of the API.
//!
//! The rule: a certificate or a key that cannot be used is a mistake of whoever starts the job, said before it runs; whoever connects and does
//! not finish the handshake takes a place as long as one who says nothing, and nobody waits for that.
//! Left to others: who may ask (`network`), how many are served (`listen`).

use std::{fmt, io, path::Path, sync::Arc};

use futures::future::BoxFuture;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::listen::{Listen, Opening};
use crate::error::{Error, Kind, Result};

/// A certificate and its key, ready for handshakes.
pub struct Tls(TlsAcceptor);

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// Of these two files, in PEM: the certificate first, then those that it is signed by. They are read once: a new certificate needs a new start.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self> {
        let refused = |file: &Path, what: &dyn fmt::Display| {
            Error::new(Kind::Config, format!("`{}` cannot be used for TLS: {what}", file.display()))
        };
        let bytes = std::fs::read(certificate).map_err(|e| refused(certificate, &e))?;
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
            .collect::<std::result::Result<_, _>>()
            .map_err(|e| refused(certificate, &e))?;
        if chain.is_empty() {
            return Err(refused(certificate, &"it has no line `-----BEGIN CERTIFICATE-----`"));
        }
        let bytes = std::fs::read(key).map_err(|e| refused(key, &e))?;
        let private = PrivateKeyDer::from_pem_slice(&bytes).map_err(|e| refused(key, &e))?;
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|config| config.with_no_client_auth().with_single_cert(chain, private));
        // the key may be another certificate's
        let mut config = config.map_err(|e| refused(key, &e))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    pub(super) fn over(self, listener: TcpListener) -> Encrypted {
        Encrypted { listener, acceptor: self.0 }
    }
}

/// Connections that begin with a handshake.
pub(super) struct Encrypted {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listen for Encrypted {
    type Connection = TlsStream<TcpStream>;

    fn next(&self) -> BoxFuture<'_, io::Result<Opening<Self::Connection>>> {
        Box::pin(async {
            let (connection, _) = self.listener.accept().await?;
            let opening = self.acceptor.accept(connection);
            Ok(Box::pin(opening) as Opening<Self::Connection>)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::{fs, time::Duration};

    use axum::{Router, routing::get};
    use rcgen::{CertificateParams, KeyPair};
    use tokio::runtime::Handle;

    use super::*;
    use crate::{control::listen, task};

    /// A certificate for `localhost` and its key, in a folder.
    fn files(folder: &Path) -> String {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        fs::write(folder.join("cert.pem"), certificate.pem()).unwrap();
        fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
        certificate.pem()
    }

    #[tokio::test]
    async fn whoever_trusts_the_certificate_is_answered_and_nobody_waits_for_a_handshake() {
        let folder = tempfile::tempdir().unwrap();
        let pem = files(folder.path());
        let tls = Tls::read(&folder.path().join("cert.pem"), &folder.path().join("key.pem")).unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let at = listener.local_addr().unwrap();
        let routes = Router::new().route("/", get(async || "here"));
        let _served = task::spawn(&Handle::current(), listen::serve(tls.over(listener), routes));
        // one who never says a word
        let silent = TcpStream::connect(at).await.unwrap();
        let ask = |client: reqwest::ClientBuilder| {
            let client = client.resolve("localhost", at).timeout(Duration::from_secs(60)).build().unwrap();
            client.get(format!("https://localhost:{}/", at.port())).send()
        };
        let trusted = reqwest::Certificate::from_pem(pem.as_bytes()).unwrap();
        let answer = ask(reqwest::Client::builder().tls_certs_only([trusted])).await.unwrap();
        assert_eq!(answer.text().await.unwrap(), "here");
        assert!(ask(reqwest::Client::builder()).await.is_err(), "a certificate that nobody has signed is not trusted");
        let plain = reqwest::Client::new().get(format!("http://{at}/")).send().await;
        assert!(plain.is_err(), "nothing is served without TLS");
        drop(silent);
    }

    #[test]
    fn files_that_cannot_be_used_are_named() {
        let folder = tempfile::tempdir().unwrap();
        files(folder.path());
        let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        let read = |certificate: &Path, key: &Path| Tls::read(certificate, key).map(drop).unwrap_err().to_string();
        assert!(read(&folder.path().join("none.pem"), &key).contains("none.pem` cannot be used"));
        assert!(read(&key, &key).contains("it has no line"));
        assert!(read(&certificate, &certificate).contains("cert.pem` cannot be used"));
        let other = folder.path().join("other.pem");
        fs::write(&other, KeyPair::generate().unwrap().serialize_pem()).unwrap();
        let said = read(&certificate, &other);
        assert!(said.contains("other.pem` cannot be used"), "{said}");
    }
}
