//! Mutual TLS with a certificate of the secret store, rotated while all runs.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use openclaw_channels::guarded_http::{ClientIdentity, EgressPolicy, GuardedHttp, Identity, Tls};
use openclaw_core::{
    Call, Env, Result, Secret, TenantId,
    http::Http,
    store::{Keys, MemoryStore, SealKey, SealedStore},
};
use openclaw_skills::secrets::{KeyPair, SecretRef, SecretSource, Secrets, StoredSecrets};
use openclaw_testkit::servers::{Authority, Certificate};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use crate::support::context;

/// All a host has to write: what the client asks for is what the store holds.
#[derive(Debug)]
struct Stored(KeyPair);

#[async_trait]
impl ClientIdentity for Stored {
    async fn current(&self) -> Result<Identity> {
        let (chain, key) = self.0.read().await?;
        Ok(Identity::from_pem(chain, key))
    }
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate")
}

/// Insists on a certificate of these clients, and notes each that it is shown.
async fn serve(
    certificate: &Certificate,
    clients: &Authority,
    shown: Arc<Mutex<Vec<CertificateDer<'static>>>>,
) -> (String, JoinSet<()>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(der(clients.pem())).expect("an authority");
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider));
    let key = PrivateKeyDer::from_pem_slice(certificate.key.expose().as_bytes()).expect("a key");
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(verifier.build().expect("a verifier"))
        .with_single_cert(vec![der(&certificate.chain)], key)
        .expect("a pair");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("https://{}", listener.local_addr().expect("an address"));
    let mut task = JoinSet::new();
    task.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
            shown.lock().expect("not poisoned").extend(chain.first().cloned());
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { break };
                head.push(byte);
            }
            let answer = b"HTTP/1.1 204 x\r\nconnection: close\r\n\r\n";
            let _gone = stream.write_all(answer).await;
            let _closed = stream.shutdown().await;
        }
    });
    (base, task)
}

#[tokio::test]
async fn a_certificate_of_the_secret_store_is_rotated_without_a_restart() {
    let (servers, clients) = (Authority::new().expect("one"), Authority::new().expect("one"));
    let server = servers.server(&["127.0.0.1"]).expect("a certificate");
    let shown = Arc::<Mutex<Vec<_>>>::default();
    let (base, _server) = serve(&server, &clients, Arc::clone(&shown)).await;

    let seal = Keys::sealing("k", &SealKey::from_bytes(&[7; 32]));
    let store = SealedStore::new(MemoryStore::new(Env::system().clock()), seal);
    let stored = StoredSecrets::new(Arc::new(store), TenantId::new("acme").expect("a name"));
    let secrets = Secrets::builder().provider(SecretSource::Store, "default", stored.clone());
    let pair = KeyPair::bundle(
        secrets.build().expect("names"),
        SecretRef::store("CLIENT_PEM").expect("a name"),
    );
    let tls = Tls::roots_from_pem(servers.pem())
        .identity("127.0.0.1".parse().expect("a host"), Stored(pair.clone()));
    let client = GuardedHttp::builder().policy(EgressPolicy::loopback()).tls(tls);
    let client = client.build().expect("a client");

    let mut expected = Vec::new();
    for _ in 0..3 {
        let own = clients.client().expect("a certificate");
        let both = Secret::new(format!("{}{}", own.chain, own.key.expose()));
        stored.put("CLIENT_PEM", &both).await.expect("it is kept");
        pair.refused();
        let request = http::Request::get(&base).body(Bytes::new()).expect("a request");
        let answer = client.send(Call::http(context(), request)).await.expect("an answer");
        assert_eq!(answer.status().as_u16(), 204);
        expected.push(der(&own.chain));
        assert_eq!(*shown.lock().expect("not poisoned"), expected);
    }
}
