//! What is said when a store can't be opened: the place, what to do, and never the password.

use std::fs;

use super::*;

async fn refused(address: &str) -> StoreError {
    let error = PostgresStore::open(address).await.expect_err("it opened");
    let said = format!("{error} {error:?}");
    assert!(!said.contains("secret"), "the password is told: {said}");
    assert!(!error.to_string().contains('\n'), "more than one line: {error}");
    error
}

fn place(address: &str) -> &str {
    let behind = address.rsplit('@').next().unwrap_or_default();
    behind.split('?').next().unwrap_or_default()
}

async fn unavailable(address: &str, todo: &str) {
    let error = refused(address).await;
    let StoreError::Unavailable(said) = error else { panic!("{error:?}") };
    assert!(said.contains(place(address)) && said.contains(todo), "{said}");
}

#[tokio::test]
async fn a_wrong_password_is_told_without_the_password() {
    let Some(mut server) = Postgres::builder().start_or_skip().await.unwrap() else { return };
    let admin = session(&server.url()).await;
    admin.batch_execute("CREATE ROLE ann LOGIN PASSWORD 'right'").await.unwrap();
    admin.batch_execute("GRANT CREATE ON DATABASE postgres TO ann").await.unwrap();
    drop(admin);
    let rules = server.dir().join("data/pg_hba.conf");
    let before = fs::read_to_string(&rules).unwrap();
    fs::write(&rules, format!("host all ann all scram-sha-256\n{before}")).unwrap();
    server.restart().await.unwrap();
    let at = format!("127.0.0.1:{}/postgres", server.port());
    unavailable(&format!("postgres://ann:secret@{at}"), "password").await;
    unavailable(&format!("postgres://ann@{at}"), "password").await;
    let store = open(&format!("postgres://ann:right@{at}")).await;
    applied(store.commit(admit(1)).await);
    assert!(!format!("{store:?}").contains("right"), "{store:?}");
    assert!(format!("{store:?}").contains(&at), "{store:?}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    unavailable(&format!("postgres://u:secret@{unused}/db"), "check that it runs").await;
    let nowhere = "postgres://u:secret@no-such-host.invalid:7/db?sslmode=disable";
    unavailable(nowhere, "check that it runs").await;
}

#[tokio::test]
async fn a_server_that_says_nothing_is_named_in_time() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("postgres://u:secret@{}/db", silent.local_addr().unwrap());
    let limit = Duration::from_millis(200);
    let error = builder().connect_timeout(limit).open(&address).await.expect_err("it opened");
    let StoreError::Unavailable(said) = error else { panic!("{error:?}") };
    assert!(said.contains(place(&address)) && said.contains("200ms"), "{said}");
}

#[tokio::test]
async fn settings_without_an_end_are_settings() {
    let endless = || {
        let (most, ever) = (usize::MAX, Duration::MAX);
        builder().max_batch(most).readers(most).linger(ever).connect_timeout(ever)
    };
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = endless().open(&format!("postgres://u@{unused}/db")).await;
    assert!(matches!(nobody, Err(StoreError::Unavailable(_))), "{nobody:?}");
    let Some(address) = fresh() else { return };
    let store = endless().open(&address).await.unwrap();
    applied(store.commit(admit(1)).await);
    let frozen = store.snapshot().await.unwrap();
    assert!(frozen.get(&key(1)).await.unwrap().is_some());
    assert_eq!(steps(&store).await, BTreeSet::from([1]));
}

/// A port on which nobody answers, not even to say that nobody is there.
#[cfg(target_os = "linux")]
async fn silence() -> (std::net::SocketAddr, impl Sized) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(std::net::SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    // Once those who wait to be accepted fill the queue, the next one hears nothing.
    let knock = || tokio::net::TcpStream::connect(address);
    while let Ok(stream) = tokio::time::timeout(Duration::from_millis(200), knock()).await {
        waiting.push(stream.unwrap());
    }
    (address, (listener, waiting))
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_silent_host_leaves_time_for_the_next_one() {
    let Some(address) = fresh() else { return };
    let (silent, _queue) = silence().await;
    let both = address.replace("@", &format!("@{silent},"));
    let store = builder().connect_timeout(Duration::from_secs(3)).open(&both).await.unwrap();
    applied(store.commit(admit(1)).await);
    assert_eq!(steps(&store).await, BTreeSet::from([1]));
}

#[tokio::test]
async fn a_database_that_is_missing_is_named() {
    let Some(address) = fresh() else { return };
    unavailable(&address.replace("/postgres?", "/missing?"), "make the database missing").await;
}

#[tokio::test]
async fn a_user_without_rights_is_told_which_to_grant() {
    let Some(address) = fresh() else { return };
    let admin = session(&address).await;
    admin.batch_execute("CREATE ROLE bob LOGIN").await.unwrap();
    let as_bob = address.replace("postgres@", "bob:secret@");
    unavailable(&as_bob, "grant the user bob CREATE").await;
    drop(open(&address).await);
    unavailable(&as_bob, "grant the user bob").await;
}

#[tokio::test]
async fn a_layout_from_the_future_is_refused_and_left_alone() {
    let Some(address) = fresh() else { return };
    let store = open(&address).await;
    applied(store.commit(admit(1)).await);
    drop(store);
    let schema = address.rsplit('=').next().unwrap();
    let admin = session(&address).await;
    let set = |n: u32| format!("UPDATE {schema}.openclaw_meta SET format = {n}");
    admin.batch_execute(&set(2)).await.unwrap();
    let error = refused(&address).await;
    let StoreError::Corrupt(said) = error else { panic!("{error:?}") };
    assert!(said.contains("layout is 2") && said.contains(schema), "{said}");
    admin.batch_execute(&set(1)).await.unwrap();
    assert_eq!(steps(&open(&address).await).await, BTreeSet::from([1]));
}

#[tokio::test]
async fn tables_that_vanish_are_damage_and_not_an_empty_store() {
    let Some(address) = fresh() else { return };
    let store = open(&address).await;
    applied(store.commit(admit(1)).await);
    let schema = address.rsplit('=').next().unwrap();
    let admin = session(&address).await;
    admin.batch_execute(&format!("DROP SCHEMA {schema} CASCADE")).await.unwrap();
    for _ in 0..3 {
        let outcome = store.commit(admit(2)).await;
        assert!(matches!(outcome, Err(StoreError::Corrupt(_))), "{outcome:?}");
        let read = store.get(&key(1)).await;
        assert!(matches!(read, Err(StoreError::Corrupt(_))), "{read:?}");
    }
}

#[tokio::test]
async fn a_lost_version_is_damage_and_not_the_first_one() {
    let Some(address) = fresh() else { return };
    let store = open(&address).await;
    applied(store.commit(admit(1)).await);
    let schema = address.rsplit('=').next().unwrap();
    let admin = session(&address).await;
    admin.batch_execute(&format!("DELETE FROM {schema}.openclaw_meta")).await.unwrap();
    for outcome in [store.commit(admit(2)).await, store.commit(admit(3)).await] {
        assert!(matches!(outcome, Err(StoreError::Corrupt(_))), "{outcome:?}");
    }
    let read = store.get(&key(1)).await;
    assert!(matches!(read, Err(StoreError::Corrupt(_))), "a row that is there: {read:?}");
    let read = store.scan(ScanQuery::new(log())).await;
    assert!(matches!(read, Err(StoreError::Corrupt(_))), "a row that is there: {read:?}");
    let raised = store.raise(Version::new(1_000)).await;
    assert!(matches!(raised, Err(StoreError::Corrupt(_))), "{raised:?}");
    assert!(matches!(refused(&address).await, StoreError::Corrupt(_)));
}

#[tokio::test]
async fn a_server_that_may_lose_commits_is_refused_unless_that_is_asked_for() {
    for name in ["fsync", "full_page_writes", "synchronous_commit"] {
        let server = Postgres::builder().setting(name, "off").start_or_skip().await.unwrap();
        let Some(server) = server else { return };
        let error = refused(&server.url()).await;
        let StoreError::Unsupported(said) = error else { panic!("{error:?}") };
        assert!(said.contains(place(&server.url())), "{said}");
        assert!(said.contains(&format!("switch {name} on")), "{said}");
        let store = builder().relaxed().open(&server.url()).await.unwrap();
        assert!(!store.capabilities().durable);
        applied(store.commit(admit(1)).await);
    }
}
