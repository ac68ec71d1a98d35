//! `https` against real servers: who is trusted, and who the client says it is.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use openclaw_channels::guarded_http::{
    ClientIdentity, EgressPolicy, GuardedHttp, GuardedHttpBuilder, Identity, Tls,
};
use openclaw_core::{Error, ErrorKind, Happened, Result, Secret};
use openclaw_testkit::servers::{Authority, Certificate};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use super::support::{Names, Then, converse, get, read, send, with_body};

/// A server that speaks TLS, keeps its connections, and remembers the certificates it was shown.
struct Secure {
    at: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
    shown: Arc<Mutex<Vec<Option<CertificateDer<'static>>>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Secure {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Secure {
    async fn start(certificate: &Certificate, versions: &[Version]) -> Self {
        Self::asking(certificate, versions, true).await
    }

    /// It may ask for a certificate without insisting on one.
    async fn asking(certificate: &Certificate, versions: &[Version], insists: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config(certificate, versions, insists)));
        let (heard, shown) = (Arc::<Mutex<_>>::default(), Arc::<Mutex<Vec<_>>>::default());
        let (kept, certificates) = (Arc::clone(&heard), Arc::clone(&shown));
        let task = tokio::spawn(async move {
            let mut open = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, kept) = (acceptor.clone(), Arc::clone(&kept));
                let certificates = Arc::clone(&certificates);
                open.spawn(async move {
                    let stream = match acceptor.accept(stream).into_fallible().await {
                        Ok(stream) => stream,
                        Err((_, mut stream)) => {
                            // Whoever hangs up on unread bytes takes its own last word back.
                            drop(tokio::io::copy(&mut stream, &mut tokio::io::sink()).await);
                            return;
                        }
                    };
                    let chain = stream.get_ref().1.peer_certificates();
                    let own = chain.and_then(|chain| chain.first().cloned());
                    certificates.lock().unwrap().push(own.map(CertificateDer::into_owned));
                    converse(stream, Then::Keep(with_body("", b"secure")), kept).await;
                });
            }
        });
        Self { at, heard, shown, task }
    }

    fn uri(&self, host: &str) -> String {
        format!("https://{host}:{}/", self.at.port())
    }

    fn shown(&self) -> Vec<Option<CertificateDer<'static>>> {
        self.shown.lock().unwrap().clone()
    }
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

fn config(certificate: &Certificate, versions: &[Version], insists: bool) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .unwrap();
    let config = match &certificate.clients {
        None => config.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(der(authority)).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = if insists { verifier } else { verifier.allow_unauthenticated() };
            config.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let key = PrivateKeyDer::from_pem_slice(certificate.key.expose().as_bytes()).unwrap();
    config.with_single_cert(vec![der(&certificate.chain)], key).unwrap()
}

type Version = &'static rustls::SupportedProtocolVersion;

const BOTH: &[Version] = &[&rustls::version::TLS12, &rustls::version::TLS13];

fn client(tls: Tls) -> GuardedHttpBuilder {
    GuardedHttp::builder()
        .policy(EgressPolicy::loopback())
        .resolver(Names::say([&["127.0.0.1"]]))
        .tls(tls)
}

fn trusting(authority: &Authority) -> Tls {
    Tls::roots_from_pem(authority.pem())
}

/// An identity that a test changes.
#[derive(Debug)]
struct Rotating {
    now: Mutex<Result<Identity, ErrorKind>>,
    asked: AtomicUsize,
}

impl Rotating {
    fn new(certificate: &Certificate) -> Arc<Self> {
        Arc::new(Self { now: Mutex::new(Ok(identity(certificate))), asked: AtomicUsize::new(0) })
    }

    fn turn_to(&self, now: Result<Identity, ErrorKind>) {
        *self.now.lock().unwrap() = now;
    }
}

#[async_trait::async_trait]
impl ClientIdentity for Rotating {
    async fn current(&self) -> Result<Identity> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.now.lock().unwrap().clone().map_err(|kind| Error::new(kind, "the vault is shut"))
    }
}

fn identity(certificate: &Certificate) -> Identity {
    Identity::from_pem(&*certificate.chain, certificate.key.clone())
}

#[tokio::test]
async fn a_server_of_a_trusted_authority_is_called() {
    let authority = Authority::new().unwrap();
    let certificate = authority.server(&["shop.test", "127.0.0.1", "::1"]).unwrap();
    for version in BOTH {
        let server = Secure::start(&certificate, &[version]).await;
        let client = client(trusting(&authority)).build().unwrap();
        for host in ["shop.test", "127.0.0.1", "shop.test.", "127.1", "SHOP.test"] {
            assert_eq!(read(&client, &server.uri(host)).await.unwrap(), "secure", "{host}");
        }
        assert!(
            server.heard.lock().unwrap().len() == 5 && server.shown().iter().all(Option::is_none)
        );
    }
}

#[tokio::test]
async fn a_server_that_can_not_prove_who_it_is_is_told_nothing() {
    let (authority, other) = (Authority::new().unwrap(), Authority::new().unwrap());
    let names = &["shop.test"];
    for (certificate, word) in [
        (authority.server(&["bank.test"]).unwrap(), "for another name"),
        (other.server(names).unwrap(), "an authority that is not trusted"),
        (authority.expired_server(names).unwrap(), "has expired"),
    ] {
        let server = Secure::start(&certificate, BOTH).await;
        let client = client(trusting(&authority)).build().unwrap();
        let e = read(&client, &server.uri("shop.test")).await.unwrap_err();
        assert_eq!((e.kind(), e.happened()), (ErrorKind::PermissionDenied, Happened::No), "{e}");
        assert!(e.to_string().contains(word), "{e}");
        assert!(server.heard.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_told_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let plain = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        let mut heard = Vec::new();
        drop(stream.read_to_end(&mut heard).await);
        heard
    };
    let authority = Authority::new().unwrap();
    let client = client(trusting(&authority)).build().unwrap();
    let uri = format!("https://shop.test:{}/s3cr3t", at.port());
    let (answer, heard) = tokio::join!(read(&client, &uri), plain);
    let e = answer.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::Unavailable, Happened::No), "{e}");
    assert!(e.to_string().contains("does not speak TLS"), "{e}");
    assert!(!String::from_utf8_lossy(&heard).contains("s3cr3t"));
}

#[tokio::test]
async fn a_certificate_that_is_asked_for_is_shown() {
    let (authority, clients) = (Authority::new().unwrap(), Authority::new().unwrap());
    let server = authority.server(&["shop.test"]).unwrap().for_clients_of(&clients);
    let own = clients.client().unwrap();
    let stranger = authority.client().unwrap();
    for version in BOTH {
        let server = Secure::start(&server, &[version]).await;
        let with = |certificate: &Certificate| {
            let tls = trusting(&authority);
            tls.identity("shop.test".parse().unwrap(), identity(certificate))
        };
        let client_of = |tls| client(tls).build().unwrap();
        assert_eq!(read(&client_of(with(&own)), &server.uri("shop.test")).await.unwrap(), "secure");
        assert_eq!(server.shown(), [Some(der(&own.chain))]);

        for tls in [trusting(&authority), with(&stranger)] {
            let e = read(&client_of(tls), &server.uri("shop.test")).await.unwrap_err();
            assert_eq!(e.kind(), ErrorKind::AuthenticationFailed, "{version:?}: {e}");
        }
        assert_eq!(server.heard.lock().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_certificate_is_shown_to_those_it_is_meant_for() {
    let authority = Authority::new().unwrap();
    let certificate = authority.server(&["shop.test", "bank.test"]).unwrap();
    let server = Secure::asking(&certificate.for_clients_of(&authority), BOTH, false).await;
    let own = authority.client().unwrap();
    let rotating = Rotating::new(&own);
    let tls = trusting(&authority).identity("bank.test".parse().unwrap(), Arc::clone(&rotating));
    let client = client(tls).build().unwrap();
    for host in ["shop.test", "bank.test", "shop.test"] {
        read(&client, &server.uri(host)).await.unwrap();
    }
    assert_eq!(server.shown(), [None, Some(der(&own.chain)), None]);
    assert_eq!(rotating.asked.load(Ordering::SeqCst), 1, "asked only for whom it is meant");
}

#[tokio::test]
async fn a_rotated_certificate_is_used_at_once() {
    let authority = Authority::new().unwrap();
    let certificate = authority.server(&["shop.test"]).unwrap().for_clients_of(&authority);
    let server = Secure::start(&certificate, BOTH).await;
    let (old, new) = (authority.client().unwrap(), authority.client().unwrap());
    let rotating = Rotating::new(&old);
    let tls = trusting(&authority).identity("*.test".parse().unwrap(), Arc::clone(&rotating));
    let client = client(tls).build().unwrap();
    let uri = server.uri("shop.test");
    for _ in 0..2 {
        read(&client, &uri).await.unwrap();
    }
    assert_eq!(server.shown(), [Some(der(&old.chain))], "one connection serves both");

    rotating.turn_to(Ok(identity(&new)));
    for _ in 0..2 {
        read(&client, &uri).await.unwrap();
    }
    assert_eq!(server.shown(), [Some(der(&old.chain)), Some(der(&new.chain))]);
    assert_eq!(server.heard.lock().unwrap().len(), 4);

    rotating.turn_to(Err(ErrorKind::Unavailable));
    let e = send(&client, get(&uri)).await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::Unavailable, Happened::No));
    let broken = Identity::from_pem(&*new.chain, Secret::new("s3cr3t"));
    rotating.turn_to(Ok(broken));
    let e = send(&client, get(&uri)).await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::ValidationError, Happened::No));
    assert!(!format!("{e:?} {e}").contains("s3cr3t"), "{e:?}");
    assert_eq!(server.heard.lock().unwrap().len(), 4, "nothing went out meanwhile");

    rotating.turn_to(Ok(identity(&new)));
    read(&client, &uri).await.unwrap();
}

#[tokio::test]
async fn an_answer_under_tls_is_bounded_in_the_same_way() {
    let authority = Authority::new().unwrap();
    let server = Secure::start(&authority.server(&["shop.test"]).unwrap(), BOTH).await;
    let client = client(trusting(&authority)).max_response(5).build().unwrap();
    let e = read(&client, &server.uri("shop.test")).await.unwrap_err();
    assert_eq!((e.kind(), e.happened()), (ErrorKind::ValidationError, Happened::Maybe));
}

#[test]
fn authorities_that_can_not_be_read_are_told_at_once() {
    let broken = "-----BEGIN CERTIFICATE-----\nbm9uZQ==\n-----END CERTIFICATE-----\n";
    for pem in ["", "none", broken] {
        let e = GuardedHttp::builder().tls(Tls::roots_from_pem(pem)).build().unwrap_err();
        assert_eq!((e.kind(), e.happened()), (ErrorKind::ValidationError, Happened::No), "{e}");
    }
}
