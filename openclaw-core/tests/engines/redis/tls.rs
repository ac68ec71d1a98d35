//! TLS: whom the store trusts, what is said when it can't, and lines that break under it.

use openclaw_core::store::{Keys, SealKey, SealedStore, Tls};
use openclaw_testkit::{
    proxy::{Cut, Direction, FaultProxy},
    servers::{Authority, Certificate},
};

use super::*;

const HERE: [&str; 1] = ["127.0.0.1"];

/// A server with this certificate; `None` where there is no Redis.
async fn server(certificate: Certificate) -> Option<Redis> {
    Redis::builder().tls(certificate).start_or_skip().await.expect("a server")
}

fn authority() -> Authority {
    Authority::new().expect("an authority")
}

fn trusting(authority: &Authority) -> Tls {
    Tls::roots_from_pem(authority.pem())
}

async fn refused(tls: Tls, url: &str) -> String {
    let builder = RedisStore::builder().tls(tls).timeout(Duration::from_secs(2));
    match builder.open(url).await {
        Err(StoreError::Unavailable(why)) => {
            let host = url.rsplit('@').next().unwrap().trim_start_matches("rediss://");
            assert!(why.contains(host) && !why.contains('\n'), "{why}");
            assert!(!why.contains("s3cr3t"), "{why}");
            why
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_is_known_by_its_authority_its_name_and_its_date() {
    let ours = authority();
    let Some(redis) = server(ours.server(&HERE).unwrap()).await else { return };
    let url = redis.url().replace("://", "://u:s3cr3t@");
    let why = refused(trusting(&authority()), &url).await;
    assert!(why.contains("authority that is not trusted"), "{why}");
    let why = refused(Tls::system(), &url).await;
    assert!(why.contains("authority that is not trusted"), "{why}");

    let elsewhere = server(ours.server(&["db.example", "127.0.0.2"]).unwrap()).await.unwrap();
    let why = refused(trusting(&ours), &elsewhere.url()).await;
    assert!(why.contains("another name"), "{why}");

    let old = server(ours.expired_server(&HERE).unwrap()).await.unwrap();
    let why = refused(trusting(&ours), &old.url()).await;
    assert!(why.contains("has expired"), "{why}");

    let opened = RedisStore::builder().tls(trusting(&ours)).open(&redis.url()).await.unwrap();
    applied(opened.commit(admit(1)).await);
    assert_eq!(steps(&opened).await, BTreeSet::from([1]));
    assert!(format!("{opened:?}").contains("rediss://"));
}

#[tokio::test]
async fn there_is_no_way_back_to_a_plain_connection() {
    let Some(url) = url() else { return };
    let ours = authority();
    let why = refused(trusting(&ours), &url.replace("redis:", "rediss:")).await;
    assert!(why.contains("TLS"), "{why}");

    let redis = server(ours.server(&HERE).unwrap()).await.unwrap();
    let plain = redis.url().replace("rediss:", "redis:");
    let builder = RedisStore::builder().timeout(Duration::from_secs(2));
    let opened = builder.clone().open(&plain).await;
    assert!(matches!(opened, Err(StoreError::Unavailable(_))), "{opened:?}");

    for (url, builder) in [
        (format!("{}#insecure", redis.url()), builder.clone()),
        (plain, builder.tls(trusting(&ours))),
    ] {
        let opened = builder.open(&url).await;
        assert!(matches!(opened, Err(StoreError::Unsupported(_))), "{url}: {opened:?}");
    }
}

#[tokio::test]
async fn a_server_may_want_to_know_its_clients() {
    let (ours, clients) = (authority(), authority());
    let certificate = ours.server(&HERE).unwrap().for_clients_of(&clients);
    let Some(redis) = server(certificate).await else { return };
    let url = redis.url();
    let why = refused(trusting(&ours), &url).await;
    assert!(why.contains("certificate of this client"), "{why}");
    let stranger = ours.client().unwrap();
    let why = refused(trusting(&ours).identity_from_pem(stranger.chain, stranger.key), &url).await;
    assert!(why.contains("does not accept this client's certificate"), "{why}");

    let client = clients.client().unwrap();
    let known = trusting(&ours).identity_from_pem(&*client.chain, client.key.clone());
    assert!(!format!("{known:?}").contains("PRIVATE"), "{known:?}");
    let store = RedisStore::builder().tls(known).open(&url).await.unwrap();
    applied(store.commit(admit(1)).await);

    // The same from files that the address names, and below a seal.
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (roots, chain) = (file("ca.pem", ours.pem()), file("client.pem", &client.chain));
    let key_two = key(2);
    let key = file("client.key", client.key.expose());
    let url = format!("{url}?sslrootcert={roots}&sslcert={chain}&sslkey={key}");
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(EPOCH));
    let below = Store::open(&url, Arc::clone(&clock)).await.unwrap();
    let sealed = SealedStore::new(below, Keys::sealing("one", &SealKey::from_bytes(&[1; 32])));
    assert!(matches!(sealed.commit(admit(2)).await, Ok(Commit::Applied(_))));
    assert_eq!(number(&sealed.get(&key_two).await.unwrap().unwrap().value), 2);

    let half = url.split("&sslkey").next().unwrap();
    assert!(matches!(Store::open(half, clock).await, Err(StoreError::Unsupported(_))));
}

/// What can't be read is named, before anything is connected to.
#[tokio::test]
async fn certificates_that_can_not_be_read_are_named() {
    let ours = authority();
    let client = ours.client().unwrap();
    for (tls, named) in [
        (Tls::roots_from_file("/nowhere/ca.pem"), "/nowhere/ca.pem"),
        (Tls::roots_from_pem("s3cr3t"), "no certificate in it"),
        (trusting(&ours).identity_from_files("/nowhere/c", "/nowhere/k"), "/nowhere/c"),
        (
            trusting(&ours).identity_from_pem(client.chain, openclaw_core::Secret::new("s3cr3t")),
            "the key of the client",
        ),
    ] {
        let opened = RedisStore::builder().tls(tls).open("rediss://127.0.0.1:1/0").await;
        let Err(StoreError::Unsupported(why)) = opened else { panic!("{opened:?}") };
        assert!(why.contains(named) && !why.contains("s3cr3t"), "{why}");
    }
}

#[tokio::test]
async fn a_handshake_that_is_cut_anywhere_is_unavailable_and_made_again() {
    let ours = authority();
    let Some(redis) = server(ours.server(&HERE).unwrap()).await else { return };
    let proxy = FaultProxy::to(([127, 0, 0, 1], redis.port()).into()).await.unwrap();
    let url = format!("rediss://{}/0", proxy.addr());
    let builder = RedisStore::builder().tls(trusting(&ours)).prefix(fresh_prefix());
    let store = builder.clone().open(&url).await.unwrap();
    let (mut cut, mut done) = (0, Vec::new());
    for (n, bytes) in (0..).zip((0..2400).step_by(80)) {
        for direction in [Direction::ToServer, Direction::ToClient] {
            proxy.all().only(direction).cut_after_more(bytes, Cut::Reset);
            let opened = builder.clone().open(&url).await;
            proxy.all().clear();
            match opened {
                Ok(_) => {}
                Err(StoreError::Unavailable(_)) => cut += 1,
                other => panic!("{bytes}: {other:?}"),
            }
        }
        // Behind the handshake: the store goes on over a new connection.
        proxy.close_all(if n % 2 == 0 { Cut::Reset } else { Cut::Finish });
        match store.commit(admit(n)).await {
            Ok(outcome) => drop(applied(Ok(outcome))),
            Err(StoreError::OutcomeUnknown(_)) => {
                let there = store.get(&key(n)).await.unwrap().is_some();
                let again = store.commit(admit(n)).await.unwrap();
                assert_eq!(there, matches!(again, Commit::Conflict(_)));
            }
            other => panic!("{n}: {other:?}"),
        }
        done.push(n);
    }
    assert!(cut > 20 && cut < 60, "{cut} of 60 were cut");
    assert_eq!(steps(&store).await, done.into_iter().collect());
}
