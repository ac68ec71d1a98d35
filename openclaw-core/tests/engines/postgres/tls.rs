//! TLS: whom the store trusts, what is said when it can't, and lines that break under it.

use std::fs;

use openclaw_core::store::{Store, Tls};
use openclaw_testkit::{
    proxy::{Cut, Direction, FaultProxy},
    servers::{Authority, Certificate},
};

use super::*;

const HERE: [&str; 1] = ["127.0.0.1"];

/// A server with this certificate; `None` where there is no Postgres.
async fn server(certificate: Certificate) -> Option<Postgres> {
    Postgres::builder().tls(certificate).start_or_skip().await.expect("a server")
}

fn authority() -> Authority {
    Authority::new().expect("an authority")
}

fn trusting(authority: &Authority) -> Tls {
    Tls::roots_from_pem(authority.pem())
}

async fn refused(tls: Tls, url: &str) -> String {
    let url = url.replace("postgres@", "postgres:s3cr3t@");
    match builder().tls(tls).open(&url).await {
        Err(StoreError::Unavailable(why)) => {
            assert!(why.contains("127.0.0.1:") && !why.contains('\n'), "{why}");
            assert!(!why.contains("s3cr3t"), "{why}");
            why
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_is_known_by_its_authority_its_name_and_its_date() {
    let ours = authority();
    let Some(postgres) = server(ours.server(&HERE).unwrap()).await else { return };
    for tls in [trusting(&authority()), Tls::system()] {
        let why = refused(tls, &postgres.url()).await;
        assert!(why.contains("authority that is not trusted"), "{why}");
    }
    let store = builder().tls(trusting(&ours)).open(&postgres.url()).await.unwrap();
    applied(store.commit(admit(1)).await);
    assert_eq!(steps(&store).await, BTreeSet::from([1]));
    let session = session(&postgres.url()).await;
    let secured = "SELECT count(*) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) \
                   WHERE s.ssl AND a.application_name = 'openclaw'";
    let secured: i64 = session.query_one(secured, &[]).await.unwrap().get(0);
    assert!(secured >= 2, "its writer and its readers are secured: {secured}");

    let elsewhere = server(ours.server(&["db.example", "127.0.0.2"]).unwrap()).await.unwrap();
    let why = refused(trusting(&ours), &elsewhere.url()).await;
    assert!(why.contains("another name"), "{why}");

    let old = server(ours.expired_server(&HERE).unwrap()).await.unwrap();
    let why = refused(trusting(&ours), &old.url()).await;
    assert!(why.contains("has expired"), "{why}");
}

#[tokio::test]
async fn there_is_no_way_back_to_a_plain_connection() {
    let Some(address) = fresh() else { return };
    let ours = authority();
    // Certificates alone ask for TLS, whatever the host.
    let why = refused(trusting(&ours), &address).await;
    assert!(why.contains("does not speak TLS"), "{why}");
    for mode in ["require", "verify-ca", "verify-full"] {
        let opened = PostgresStore::open(&format!("{address}&sslmode={mode}")).await;
        let Err(StoreError::Unavailable(why)) = opened else { panic!("{opened:?}") };
        assert!(why.contains("does not speak TLS"), "{why}");
    }
    let plainly = format!("{address}&sslmode=disable");
    let opened = builder().tls(trusting(&ours)).open(&plainly).await;
    assert!(matches!(opened, Err(StoreError::Unsupported(_))), "{opened:?}");
    drop(open(&plainly).await);
}

#[tokio::test]
async fn a_server_may_want_to_know_its_clients() {
    let (ours, clients) = (authority(), authority());
    let certificate = ours.server(&HERE).unwrap().for_clients_of(&clients);
    let Some(postgres) = server(certificate).await else { return };
    let url = postgres.url();
    let why = refused(trusting(&ours), &url).await;
    assert!(why.contains("certificate"), "{why}");
    let stranger = ours.client().unwrap();
    let why = refused(trusting(&ours).identity_from_pem(stranger.chain, stranger.key), &url).await;
    assert!(why.contains("does not accept this client's certificate"), "{why}");

    let client = clients.client().unwrap();
    let known = trusting(&ours).identity_from_pem(&*client.chain, client.key.clone());
    let store = builder().tls(known).open(&url).await.unwrap();
    applied(store.commit(admit(1)).await);

    // The same from files that the address names.
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (roots, chain) = (file("ca.pem", ours.pem()), file("client.pem", &client.chain));
    let key = file("client.key", client.key.expose());
    let url = format!("{url}&sslrootcert={roots}&sslcert={chain}&sslkey={key}");
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
    let store = Store::open(&url, clock).await.unwrap();
    assert!(matches!(store.commit(admit(2)).await, Ok(Commit::Applied(_))));
}

#[tokio::test]
async fn a_password_is_bound_to_the_channel_it_goes_through() {
    let ours = authority();
    let Some(mut postgres) = server(ours.server(&HERE).unwrap()).await else { return };
    let admin = session(&postgres.url()).await;
    admin.batch_execute("CREATE ROLE ann LOGIN SUPERUSER PASSWORD 'right'").await.unwrap();
    drop(admin);
    let rules = postgres.dir().join("data/pg_hba.conf");
    let before = fs::read_to_string(&rules).unwrap();
    fs::write(&rules, format!("hostssl all ann all scram-sha-256\n{before}")).unwrap();
    postgres.restart().await.unwrap();
    let url = postgres.url().replace("postgres@", "ann:right@");
    let url = format!("{url}&channel_binding=require");
    let store = builder().tls(trusting(&ours)).open(&url).await.unwrap();
    applied(store.commit(admit(1)).await);
}

#[tokio::test]
async fn a_handshake_that_is_cut_anywhere_is_unavailable_and_made_again() {
    let ours = authority();
    let Some(postgres) = server(ours.server(&HERE).unwrap()).await else { return };
    let proxy = FaultProxy::to(([127, 0, 0, 1], postgres.port()).into()).await.unwrap();
    let url =
        postgres.url().replace(&postgres.port().to_string(), &proxy.addr().port().to_string());
    let builder = builder().tls(trusting(&ours));
    let store = builder.clone().open(&url).await.unwrap();
    let (mut cut, mut done) = (0, BTreeSet::new());
    for (n, bytes) in (0..).zip((0..3000).step_by(150)) {
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
        proxy.close_all(if n % 2 == 0 { Cut::Reset } else { Cut::Finish });
        applied(store.commit(admit(n)).await);
        done.insert(n);
    }
    assert!(cut > 10, "{cut} of 40 were cut");
    assert_eq!(steps(&store).await, done);
}
