//! Who may open a store, and what is said when a server won't do.

use super::*;

/// What opening says, in one line that names the server and no password.
async fn refused(url: &str) -> StoreError {
    refused_by(RedisStore::builder(), url).await
}

async fn refused_by(builder: openclaw_core::store::RedisStoreBuilder, url: &str) -> StoreError {
    let error = builder.open(url).await.expect_err("it opened");
    let said = format!("{error} {error:?}");
    assert!(!said.contains('\n') && !said.contains("s3cr3t"), "{said}");
    let port = url.rsplit(':').next().unwrap().split('/').next().unwrap();
    assert!(said.contains(&format!("redis://127.0.0.1:{port}/0")), "names no server: {said}");
    error
}

async fn server() -> Option<Redis> {
    Redis::builder().start_or_skip().await.expect("a server")
}

#[tokio::test]
async fn a_server_that_may_lose_commits_is_refused() {
    let Some(server) = server().await else { return };
    let url = server.url();
    for (name, wrong, right) in [
        ("appendfsync", "everysec", "always"),
        ("appendfsync", "no", "always"),
        ("maxmemory-policy", "allkeys-lru", "noeviction"),
        ("no-appendfsync-on-rewrite", "yes", "no"),
        ("appendonly", "no", "yes"),
    ] {
        tell(&url, &format!("CONFIG SET {name} {wrong}")).await;
        let StoreError::Unsupported(why) = refused(&url).await else { panic!("{name}") };
        assert!(why.contains(&format!("{name} is {wrong}: set it to {right}")), "{why}");
        let store = RedisStore::builder().not_durable().open(&url).await.unwrap();
        assert!(!store.capabilities().durable);
        tell(&url, &format!("CONFIG SET {name} {right}")).await;
    }
    assert!(RedisStore::open(&url).await.unwrap().capabilities().durable);
}

#[tokio::test]
async fn settings_are_looked_at_again_with_every_connection() {
    let Some(server) = server().await else { return };
    let url = server.url();
    let store = RedisStore::open(&url).await.unwrap();
    applied(store.commit(admit(1)).await);
    tell(&url, "CONFIG SET appendfsync everysec").await;
    tell(&url, "CLIENT KILL TYPE normal SKIPME yes").await;
    let refused = loop {
        match store.commit(admit(2)).await {
            Err(StoreError::OutcomeUnknown(_)) => {}
            outcome => break outcome,
        }
    };
    let Err(StoreError::Unsupported(why)) = refused else { panic!("{refused:?}") };
    assert!(why.contains("appendfsync is everysec"), "{why}");
    tell(&url, "CONFIG SET appendfsync always").await;
    applied(store.commit(admit(3)).await);
}

#[tokio::test]
async fn hidden_settings_are_refused_or_trusted() {
    let Some(server) = server().await else { return };
    tell(&server.url(), "ACL SETUSER app on >s3cr3t ~* +@all -config").await;
    let url = format!("redis://app:s3cr3t@127.0.0.1:{}/0", server.port());
    let StoreError::Unsupported(why) = refused(&url).await else { panic!() };
    assert!(why.contains("trust_durability"), "{why}");
    let store = RedisStore::builder().trust_durability().open(&url).await.unwrap();
    assert!(store.capabilities().durable);
    applied(store.commit(admit(1)).await);
    assert!(!format!("{store:?}").contains("s3cr3t"));
}

#[tokio::test]
async fn a_user_without_a_right_is_refused_before_any_commit() {
    let Some(server) = server().await else { return };
    for command in ["hset", "hdel", "zadd", "zrem", "hget", "zrangebylex", "time", "evalsha"] {
        tell(&server.url(), "ACL DELUSER app").await;
        tell(&server.url(), &format!("ACL SETUSER app on >s3cr3t ~* +@all -{command}")).await;
        let url = format!("redis://app:s3cr3t@127.0.0.1:{}/0", server.port());
        match refused_or_opened(&url).await {
            Err(StoreError::Unavailable(why)) => assert!(why.contains("may not"), "{why}"),
            // Its scripts can't even be named: the first call says so.
            Ok(store) if command == "evalsha" => {
                let refused = store.commit(admit(1)).await;
                assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
            }
            other => panic!("{command}: {other:?}"),
        }
    }
}

async fn refused_or_opened(url: &str) -> Result<RedisStore, StoreError> {
    RedisStore::builder().prefix(fresh_prefix()).open(url).await
}

#[tokio::test]
async fn a_wrong_password_and_no_server_are_named() {
    let builder = Redis::builder().requirepass("right");
    let Some(server) = builder.start_or_skip().await.unwrap() else { return };
    let port = server.port();
    for login in [":s3cr3t@", "somebody:s3cr3t@", ""] {
        let why = refused(&format!("redis://{login}127.0.0.1:{port}/0")).await;
        let StoreError::Unavailable(why) = why else { panic!("{why:?}") };
        assert!(why.contains("password"), "{why}");
    }
    assert!(RedisStore::open(&server.url()).await.is_ok());
    server.stop().await.unwrap();
    let why = refused(&format!("redis://:s3cr3t@127.0.0.1:{port}/0")).await;
    let StoreError::Unavailable(why) = why else { panic!("{why:?}") };
    assert!(why.contains("can't be reached"), "{why}");
}

#[tokio::test]
async fn a_server_that_says_nothing_keeps_nobody_waiting() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://:s3cr3t@{}/0", listener.local_addr().unwrap());
    let builder = RedisStore::builder().timeout(Duration::from_millis(100));
    let why = refused_by(builder, &url).await;
    assert!(matches!(&why, StoreError::Unavailable(why) if why.contains("in time")), "{why:?}");
}

#[tokio::test]
async fn a_newer_layout_is_refused_also_by_an_open_store() {
    let Some(url) = url() else { return };
    let prefix = fresh_prefix();
    let builder = RedisStore::builder().prefix(prefix.clone());
    let store = builder.clone().open(&url).await.unwrap();
    applied(store.commit(admit(1)).await);
    tell(&url, &format!("HSET {{{prefix}}}:meta format 2")).await;
    let StoreError::Corrupt(why) = refused_by(builder, &url).await else { panic!() };
    assert!(why.contains("its layout is 2, this is 1"), "{why}");
    assert!(matches!(store.commit(admit(2)).await, Err(StoreError::Corrupt(_))));
    assert!(matches!(store.get(&key(1)).await, Err(StoreError::Corrupt(_))));
}

#[tokio::test]
async fn what_is_not_ours_is_left_alone() {
    let Some(url) = url() else { return };
    for (words, name) in [
        ("SET {P}:rows x", "rows"),
        ("RPUSH {P}:index x", "index"),
        ("HSET {P}:due a b", "due"),
        ("SET {P}:meta x", "meta"),
        ("HSET {P}:rows a b", "rows"),
    ] {
        let prefix = fresh_prefix();
        tell(&url, &words.replace("{P}", &format!("{{{prefix}}}"))).await;
        let why = refused_by(RedisStore::builder().prefix(prefix.clone()), &url).await;
        assert!(matches!(why, StoreError::Corrupt(_)), "{name}: {why:?}");
    }
}

#[tokio::test]
async fn a_store_wiped_behind_its_back_says_so() {
    let Some(url) = url() else { return };
    let prefix = fresh_prefix();
    let builder = RedisStore::builder().prefix(prefix.clone());
    let store = builder.clone().open(&url).await.unwrap();
    applied(store.commit(admit(1)).await);
    let names = ["rows", "index", "due", "meta"].map(|name| format!("{{{prefix}}}:{name}"));
    tell(&url, &format!("DEL {}", names.join(" "))).await;
    let wiped = store.commit(admit(1)).await;
    assert!(matches!(&wiped, Err(StoreError::Corrupt(why)) if why.contains("wiped")), "{wiped:?}");
    drop(builder.open(&url).await.unwrap());
    applied(store.commit(admit(1)).await);
}

#[tokio::test]
async fn a_key_that_changed_its_kind_leaves_nothing_half_done() {
    let Some(url) = url() else { return };
    for name in ["rows", "index", "due"] {
        let prefix = fresh_prefix();
        let store = RedisStore::builder().prefix(prefix.clone()).open(&url).await.unwrap();
        tell(&url, &format!("SET {{{prefix}}}:{name} x")).await;
        let put = Txn::new("t").op(Op::put_for(key(1), "x", Duration::from_secs(60)));
        let refused = store.commit(put.op(Op::put(key(2), "y"))).await;
        assert!(matches!(refused, Err(StoreError::Corrupt(_))), "{name}: {refused:?}");
        tell(&url, &format!("DEL {{{prefix}}}:{name}")).await;
        assert_eq!(store.get_many(&[key(1), key(2)]).await.unwrap().value, [None, None], "{name}");
        assert_eq!(applied(store.commit(admit(1)).await).version.get(), 1, "{name}");
    }
}

#[tokio::test]
async fn a_replica_is_refused_and_left_when_it_becomes_one() {
    let (Some(primary), Some(replica)) = (server().await, server().await) else { return };
    let store = RedisStore::open(&replica.url()).await.unwrap();
    applied(store.commit(admit(1)).await);
    tell(&replica.url(), &format!("REPLICAOF 127.0.0.1 {}", primary.port())).await;
    let refused_commit = store.commit(admit(2)).await;
    assert!(matches!(refused_commit, Err(StoreError::Unavailable(_))), "{refused_commit:?}");
    let StoreError::Unavailable(why) = refused(&replica.url()).await else { panic!() };
    assert!(why.contains("replica") || why.contains("loading"), "{why}");
}

#[tokio::test]
async fn an_address_opens_it_and_a_wrong_prefix_does_not() {
    let Some(server) = server().await else { return };
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(EPOCH));
    let store = Store::open(&server.url(), Arc::clone(&clock)).await.unwrap();
    assert!(store.capabilities().durable && store.capabilities().shared);
    let insecure = format!("{}#insecure", server.url().replace("redis:", "rediss:"));
    assert!(matches!(Store::open(&insecure, clock).await, Err(StoreError::Unsupported(_))));
    for prefix in ["", "{a", "a}b"] {
        let opened = RedisStore::builder().prefix(prefix).open(&server.url()).await;
        assert!(matches!(opened, Err(StoreError::Unsupported(_))), "{prefix:?}");
    }
}
