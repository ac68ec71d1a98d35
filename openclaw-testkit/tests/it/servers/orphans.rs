//! Nothing is left behind, however the owner ends.

use std::{
    fs,
    io::{BufRead, BufReader, Write, stdout},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use openclaw_testkit::servers::{Mosquitto, Nats, Postgres, RabbitMq, Redis};
use tokio::time::{Instant, sleep};

use super::{assert_gone, processes_in};

/// This test binary, to run one ignored test alone.
pub(super) fn this_binary(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    command
}

/// Not a test by itself: owns one server of each kind until it is killed.
#[tokio::test]
#[ignore = "the test below runs it in a process of its own"]
async fn own_servers_until_killed() {
    let (redis, postgres, mosquitto, nats, rabbit) = tokio::join!(
        Redis::builder().start_or_skip(),
        Postgres::builder().start_or_skip(),
        Mosquitto::builder().start_or_skip(),
        Nats::builder().start_or_skip(),
        RabbitMq::builder().start_or_skip(),
    );
    let (redis, postgres) = (redis.unwrap(), postgres.unwrap());
    let (mosquitto, nats, rabbit) = (mosquitto.unwrap(), nats.unwrap(), rabbit.unwrap());
    let dirs = [
        redis.as_ref().map(Redis::dir),
        postgres.as_ref().map(Postgres::dir),
        mosquitto.as_ref().map(Mosquitto::dir),
        nats.as_ref().map(Nats::dir),
        rabbit.as_ref().map(RabbitMq::dir),
    ];
    for dir in dirs.into_iter().flatten() {
        writeln!(stdout(), "\nDIR {}", dir.display()).unwrap();
    }
    writeln!(stdout(), "\nREADY").unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn servers_end_with_an_owner_that_is_killed() {
    let mut owner = this_binary("servers::orphans::own_servers_until_killed");
    let mut owner = owner.stdout(Stdio::piped()).spawn().unwrap();
    let mut dirs = Vec::new();
    let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines().map(Result::unwrap);
    let ready = lines.any(|line| {
        dirs.extend(line.strip_prefix("DIR ").map(PathBuf::from));
        line == "READY"
    });
    let running = dirs.iter().all(|dir| processes_in(dir).len() >= 2);
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert!(ready && running, "the owner started all it found");

    let late = Instant::now() + Duration::from_secs(10);
    let left = |dir: &PathBuf| dir.exists() || !processes_in(dir).is_empty();
    while dirs.iter().any(left) && Instant::now() < late {
        sleep(Duration::from_millis(20)).await;
    }
    dirs.iter().for_each(|dir| assert_gone(dir));
}

#[tokio::test]
async fn a_server_ends_with_a_test_that_panics() {
    let Some(postgres) = Postgres::builder().start_or_skip().await.unwrap() else { return };
    let dir = postgres.dir().to_owned();
    assert!(processes_in(&dir).len() > 4, "it has children, which are not in its group");
    let test = tokio::spawn(async move {
        assert_eq!(postgres.port(), 0, "this panic is part of the test");
    });
    assert!(test.await.unwrap_err().is_panic());
    assert_gone(&dir);
}

/// Not a test by itself: gives a start up in the middle, and ends as any test does.
#[tokio::test]
#[ignore = "the test below runs it in a process of its own"]
async fn give_a_start_up() {
    let start = Postgres::builder().start_or_skip();
    let cut = tokio::time::timeout(Duration::from_millis(150), start).await;
    assert!(cut.is_err() || cut.unwrap().unwrap().is_none(), "nothing starts that fast");
}

#[test]
fn a_start_that_is_given_up_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    // The server may run under another account, which has to get through here.
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut child = this_binary("servers::orphans::give_a_start_up");
    let output = child.env("TMPDIR", place.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0, "a directory is left");
    assert!(processes_in(place.path()).is_empty(), "{:#?}", processes_in(place.path()));
}
