//! Postgres.

use openclaw_testkit::servers::Postgres;

use super::{Client, assert_gone, processes_in};

/// A session of the wire protocol 3.0.
struct Session(Client);

impl Session {
    async fn open(port: u16) -> Self {
        let words = b"\0\x03\0\0user\0postgres\0\0";
        let length = u32::try_from(words.len() + 4).unwrap();
        let mut client = Client::connect(port).await;
        client.send([&length.to_be_bytes(), words.as_slice()].concat()).await;
        let mut session = Self(client);
        session.until_ready().await.expect("trusted");
        session
    }

    /// One message: its type and its body.
    async fn message(&mut self) -> (u8, Vec<u8>) {
        let whole = |read: &[u8]| {
            let length = u32::from_be_bytes(read.get(1..5)?.try_into().ok()?) as usize + 1;
            (read.len() >= length).then_some(length)
        };
        let message = self.0.take(whole).await;
        (message[0], message[5..].to_vec())
    }

    /// The first column of each row, or the error.
    async fn until_ready(&mut self) -> Result<Vec<String>, String> {
        let (mut rows, mut error) = (Vec::new(), None);
        loop {
            match self.message().await {
                (b'Z', _) => return error.map_or(Ok(rows), Err),
                (b'E', body) => error = Some(String::from_utf8_lossy(&body).into_owned()),
                (b'D', body) => rows.push(String::from_utf8_lossy(&body[6..]).into_owned()),
                _ => {}
            }
        }
    }

    async fn send(&mut self, query: &str) {
        let length = u32::try_from(query.len() + 5).unwrap();
        self.0
            .send([b"Q".as_slice(), &length.to_be_bytes(), query.as_bytes(), b"\0"].concat())
            .await;
    }

    async fn query(&mut self, query: &str) -> Vec<String> {
        self.send(query).await;
        self.until_ready().await.unwrap()
    }
}

#[tokio::test]
async fn postgres_recovers_what_it_committed_before_sigkill() {
    let Some(mut postgres) = Postgres::builder().start_or_skip().await.unwrap() else { return };
    let mut session = Session::open(postgres.port()).await;
    assert_eq!(session.query("select 1").await, ["1"]);
    session.query("create table orders (id int)").await;
    session.query("insert into orders values (1042)").await;
    session.send("begin; insert into orders values (1043); select pg_sleep(600)").await;

    postgres.kill().await.unwrap();
    let left = processes_in(postgres.dir());
    assert_eq!(left.len(), 1, "the watchdog alone, no backend: {left:#?}");

    postgres.restart().await.unwrap();
    let mut session = Session::open(postgres.port()).await;
    assert_eq!(session.query("select id from orders").await, ["1042"]);
    let log = postgres.log();
    assert!(log.contains("was not properly shut down"), "{log}");
}

#[tokio::test]
async fn postgres_stopped_at_once_makes_no_checkpoint() {
    let builder = Postgres::builder().setting("fsync", "on").setting("max_connections", "7");
    let Some(mut postgres) = builder.start_or_skip().await.unwrap() else { return };
    let dir = postgres.dir().to_owned();
    let mut session = Session::open(postgres.port()).await;
    assert_eq!(session.query("show max_connections").await, ["7"]);
    assert_eq!(session.query("show fsync").await, ["on"]);
    session.query("create table a as select 7 as id").await;

    postgres.stop_immediate().await.unwrap();
    assert!(postgres.log().contains("received immediate shutdown request"), "{}", postgres.log());
    assert_eq!(processes_in(&dir).len(), 1, "the watchdog alone");
    postgres.restart().await.unwrap();
    assert!(postgres.log().contains("was not properly shut down"), "{}", postgres.log());

    let mut session = Session::open(postgres.port()).await;
    assert_eq!(session.query("select id from a").await, ["7"]);
    postgres.stop().await.expect("an open session does not keep it from stopping");
    assert_gone(&dir);
}

#[tokio::test]
async fn postgres_names_a_parameter_it_does_not_know() {
    match Postgres::builder().setting("fsnyc", "on").start_or_skip().await {
        Ok(server) => assert!(server.is_none(), "it took a wrong setting"),
        Err(error) => assert!(error.to_string().contains("\"fsnyc\""), "{error}"),
    }
}
