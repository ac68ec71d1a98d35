//! What the fault proxy does to a connection, as seen by a plain client and a plain server.

use std::{
    io::{ErrorKind, Result},
    net::SocketAddr,
    time::Duration,
};

use openclaw_core::Rng;
use openclaw_testkit::{
    env::SeededRng,
    proxy::{Cut, Direction, FaultProxy},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

const SOON: Duration = Duration::from_secs(2);

/// Long enough for loopback to have carried what it is going to carry.
const QUIET: Duration = Duration::from_millis(60);

/// A server that answers every byte with itself, and whose task ends with the test.
struct Echo {
    addr: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn echo() -> Echo {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut open = tokio::task::JoinSet::new();
        while let Ok((mut peer, _)) = listener.accept().await {
            open.spawn(async move {
                let (mut from, mut to) = peer.split();
                if tokio::io::copy(&mut from, &mut to).await.is_ok() {
                    let _gone = to.shutdown().await;
                }
            });
        }
    });
    Echo { addr, task }
}

async fn proxied() -> (Echo, FaultProxy) {
    let echo = echo().await;
    let proxy = FaultProxy::to(echo.addr).await.unwrap();
    (echo, proxy)
}

/// A proxy to a listener, and both ends of one connection through it.
async fn ends(fault: impl FnOnce(&FaultProxy)) -> (FaultProxy, TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = FaultProxy::to(listener.local_addr().unwrap()).await.unwrap();
    fault(&proxy);
    let client = TcpStream::connect(proxy.addr()).await.unwrap();
    let (server, _) = soon(listener.accept()).await.unwrap();
    (proxy, client, server)
}

async fn soon<T>(wait: impl Future<Output = T>) -> T {
    timeout(SOON, wait).await.expect("this takes no time")
}

/// All that can be read, and how it ended.
async fn drain(stream: &mut TcpStream) -> (Vec<u8>, Result<()>) {
    let mut heard = Vec::new();
    let end = soon(stream.read_to_end(&mut heard)).await.map(|_| ());
    (heard, end)
}

async fn ask(client: &mut TcpStream, what: &[u8]) -> Vec<u8> {
    client.write_all(what).await.unwrap();
    let mut heard = vec![0; what.len()];
    soon(client.read_exact(&mut heard)).await.unwrap();
    heard
}

fn is_reset(end: &Result<()>) -> bool {
    end.as_ref().is_err_and(|e| e.kind() == ErrorKind::ConnectionReset)
}

async fn is_silent(stream: &mut TcpStream) -> bool {
    timeout(QUIET, stream.read_u8()).await.is_err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_faults_every_byte_arrives_and_ends_are_passed_on() {
    let (_echo, proxy) = proxied().await;
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    let sent: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let (mut from, mut to) = client.split();
    let mut heard = Vec::new();
    let (written, read) = tokio::join!(
        async {
            to.write_all(&sent).await?;
            to.shutdown().await
        },
        soon(from.read_to_end(&mut heard)),
    );
    written.unwrap();
    read.unwrap();
    assert!(heard == sent, "{} of {} bytes", heard.len(), sent.len());
    assert_eq!(proxy.bytes(Direction::ToServer), 300_000);
    assert_eq!(proxy.bytes(Direction::ToClient), 300_000);
    assert_eq!((proxy.connections(), proxy.refused()), (1, 0));
}

#[tokio::test]
async fn a_reset_by_a_peer_is_passed_on_as_a_reset() {
    let (_proxy, client, mut server) = ends(|_| {}).await;
    client.set_zero_linger().unwrap();
    drop(client);
    assert!(is_reset(&drain(&mut server).await.1));
}

#[tokio::test]
async fn a_server_that_is_not_there_resets_the_client() {
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let proxy = FaultProxy::to(nobody).await.unwrap();
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    assert!(is_reset(&drain(&mut client).await.1));
}

#[tokio::test]
async fn a_reset_comes_right_behind_the_byte_it_was_set_to() {
    let (_echo, proxy) = proxied().await;
    for k in 0..=6 {
        proxy.next().only(Direction::ToClient).cut_after(k, Cut::Reset);
        let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
        client.write_all(b"commit").await.unwrap();
        let (heard, end) = drain(&mut client).await;
        assert_eq!(heard, b"commit"[..usize::try_from(k).unwrap()], "cut after {k}");
        assert!(is_reset(&end), "cut after {k}: {end:?}");
    }
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(ask(&mut client, b"commit").await, b"commit", "only the next was cut");
}

#[tokio::test]
async fn a_server_hears_exactly_the_bytes_in_front_of_the_cut() {
    for k in 0..=4 {
        for how in [Cut::Reset, Cut::Finish] {
            let cut = |proxy: &FaultProxy| {
                proxy.all().only(Direction::ToServer).cut_after(k, how);
            };
            let (proxy, mut client, mut server) = ends(cut).await;
            client.write_all(b"pay!").await.unwrap();
            let (heard, end) = drain(&mut server).await;
            assert_eq!(heard, b"pay!"[..usize::try_from(k).unwrap()], "{how:?} after {k}");
            assert_eq!(is_reset(&end), how == Cut::Reset, "{how:?} after {k}: {end:?}");
            let (_, end) = drain(&mut client).await;
            assert_eq!(is_reset(&end), how == Cut::Reset, "the client sees {end:?}");
            assert_eq!(proxy.bytes(Direction::ToServer), k);
        }
    }
}

#[tokio::test]
async fn a_finish_looks_like_a_good_end() {
    let (_echo, proxy) = proxied().await;
    proxy.all().only(Direction::ToClient).cut_after(3, Cut::Finish);
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    client.write_all(b"commit").await.unwrap();
    let (heard, end) = drain(&mut client).await;
    end.unwrap();
    assert_eq!(heard, b"com");
}

#[tokio::test]
async fn who_was_finished_may_talk_on_without_a_reset() {
    let (proxy, mut client, mut server) = ends(|_| {}).await;
    client.write_all(b"unread").await.unwrap();
    proxy.close_all(Cut::Finish);
    drain(&mut client).await.1.unwrap();
    for _ in 0..3 {
        client.write_all(b"and more").await.expect("it is heard out");
        sleep(Duration::from_millis(5)).await;
    }
    drain(&mut server).await.1.unwrap();
}

#[tokio::test]
async fn a_cut_counts_from_now_when_it_is_told_to() {
    let (_echo, proxy) = proxied().await;
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    ask(&mut client, b"hello").await;
    proxy.all().only(Direction::ToClient).cut_after_more(0, Cut::Reset);
    assert!(is_silent(&mut client).await, "nothing is cut before a byte is lost");
    client.write_all(b"commit").await.unwrap();
    let (heard, end) = drain(&mut client).await;
    assert!(heard.is_empty() && is_reset(&end), "{heard:?} {end:?}");
    assert_eq!(proxy.bytes(Direction::ToServer), 11, "the server had all of it");

    proxy.all().clear();
    let mut later = TcpStream::connect(proxy.addr()).await.unwrap();
    ask(&mut later, b"hello").await;
    proxy.all().only(Direction::ToClient).cut_after_more(2, Cut::Reset);
    later.write_all(b"commit").await.unwrap();
    assert_eq!(drain(&mut later).await.0, b"co");
}

#[tokio::test]
async fn a_connection_beyond_its_cut_is_cut_at_once() {
    let (_echo, proxy) = proxied().await;
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    ask(&mut client, b"hello").await;
    proxy.all().cut_after(3, Cut::Reset);
    assert!(is_reset(&drain(&mut client).await.1));
}

#[tokio::test]
async fn latency_is_kept_in_each_direction_and_holds_no_stream_up() {
    const LATE: Duration = Duration::from_millis(80);
    let (_echo, proxy) = proxied().await;
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    proxy.all().latency(LATE);
    let began = Instant::now();
    ask(&mut client, b"a").await;
    assert!(began.elapsed() >= LATE * 2, "{:?}", began.elapsed());

    proxy.all().clear().only(Direction::ToClient).latency(LATE);
    let began = Instant::now();
    for n in 0..20 {
        client.write_u8(n).await.unwrap();
        // Apart, so that the proxy reads them apart.
        sleep(Duration::from_millis(3)).await;
    }
    let mut heard = [0; 20];
    soon(client.read_exact(&mut heard)).await.unwrap();
    let took = began.elapsed();
    assert!(took >= LATE && took < LATE * 15, "they travel side by side: {took:?}");
    assert!(heard.is_sorted(), "in order: {heard:?}");
}

#[tokio::test]
async fn a_latency_that_is_cleared_lets_go_of_what_it_held() {
    let (_echo, proxy) = proxied().await;
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    proxy.all().latency(Duration::from_secs(3_600));
    client.write_all(b"a").await.unwrap();
    assert!(is_silent(&mut client).await);
    proxy.all().clear();
    assert_eq!(soon(client.read_u8()).await.unwrap(), b'a');
}

#[tokio::test]
async fn jitter_comes_on_top_and_keeps_the_order() {
    let (_echo, proxy) = proxied().await;
    let late = Duration::from_millis(10);
    proxy.all().only(Direction::ToServer).latency(late).jitter(Duration::from_millis(20), 7);
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    let mut took = Vec::new();
    for n in 0..12_u8 {
        let began = Instant::now();
        assert_eq!(ask(&mut client, &[n]).await, [n]);
        took.push(began.elapsed());
    }
    assert!(took.iter().all(|took| *took >= late), "{took:?}");
    let above = |by: u64| took.iter().filter(|t| **t > late + Duration::from_millis(by)).count();
    assert!(above(7) > 2, "a third of 12 draws out of 20 ms is above 13 ms: {took:?}");
}

#[tokio::test]
async fn bandwidth_sets_the_least_time_a_body_takes() {
    let (_echo, proxy) = proxied().await;
    proxy.all().only(Direction::ToServer).bandwidth(10_000);
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    let began = Instant::now();
    ask(&mut client, &[7; 4_000]).await;
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(350), "4 kB at 10 kB/s took {took:?}");
}

#[tokio::test]
async fn slices_arrive_one_by_one() {
    const PAUSE: Duration = Duration::from_millis(20);
    let (_echo, proxy) = proxied().await;
    proxy.all().only(Direction::ToClient).slice(3, PAUSE);
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    let began = Instant::now();
    client.write_all(b"twelve bytes").await.unwrap();
    let (mut heard, mut reads, mut buffer) = (Vec::new(), 0, [0; 64]);
    while heard.len() < 12 {
        let read = soon(client.read(&mut buffer)).await.unwrap();
        assert_eq!(read % 3, 0, "pieces of three bytes");
        heard.extend_from_slice(&buffer[..read]);
        reads += 1;
    }
    assert_eq!(heard, b"twelve bytes");
    assert!(reads > 1 && began.elapsed() >= PAUSE * 3, "{reads} reads, {:?}", began.elapsed());
}

#[tokio::test]
async fn a_partition_is_silent_and_healing_brings_what_it_held() {
    let (_echo, proxy) = proxied().await;
    let mut open = TcpStream::connect(proxy.addr()).await.unwrap();
    ask(&mut open, b"before").await;
    proxy.partition();
    let mut new = TcpStream::connect(proxy.addr()).await.unwrap();
    open.write_all(b"held").await.unwrap();
    new.write_all(b"new").await.unwrap();
    new.shutdown().await.unwrap();
    assert!(is_silent(&mut open).await && is_silent(&mut new).await);
    assert_eq!(proxy.bytes(Direction::ToServer), 6);
    proxy.heal();
    let mut heard = [0; 4];
    soon(open.read_exact(&mut heard)).await.unwrap();
    assert_eq!(&heard, b"held");
    let (heard, end) = drain(&mut new).await;
    end.unwrap();
    assert_eq!(heard, b"new");
}

#[tokio::test]
async fn a_partition_hides_that_a_peer_has_gone() {
    let (proxy, client, mut server) = ends(|_| {}).await;
    proxy.partition();
    drop(client);
    assert!(is_silent(&mut server).await, "an end is news too");
    proxy.heal();
    assert_eq!(soon(server.read(&mut [0; 1])).await.unwrap(), 0);
}

#[tokio::test]
async fn a_server_hears_of_no_connection_behind_a_partition() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = FaultProxy::to(listener.local_addr().unwrap()).await.unwrap();
    proxy.partition();
    let client = TcpStream::connect(proxy.addr()).await.unwrap();
    assert!(timeout(QUIET, listener.accept()).await.is_err());
    proxy.heal();
    soon(listener.accept()).await.unwrap();
    drop(client);
}

#[tokio::test]
async fn a_partition_may_be_one_way() {
    let (proxy, mut client, mut server) = ends(|_| {}).await;
    proxy.all().only(Direction::ToClient).partition();
    client.write_all(b"?").await.unwrap();
    assert_eq!(soon(server.read_u8()).await.unwrap(), b'?');
    server.write_all(b"!").await.unwrap();
    assert!(is_silent(&mut client).await);
    proxy.heal();
    assert_eq!(soon(client.read_u8()).await.unwrap(), b'!');
}

#[tokio::test]
async fn a_refused_connection_is_reset_and_open_ones_go_on() {
    let (_echo, proxy) = proxied().await;
    let mut open = TcpStream::connect(proxy.addr()).await.unwrap();
    ask(&mut open, b"a").await;
    proxy.refuse();
    for _ in 0..2 {
        refused(&proxy).await;
    }
    assert_eq!(ask(&mut open, b"b").await, b"b");
    proxy.heal();
    let mut new = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(ask(&mut new, b"c").await, b"c");
    proxy.next().refuse();
    refused(&proxy).await;
    let mut last = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(ask(&mut last, b"d").await, b"d");
    assert_eq!((proxy.connections(), proxy.refused()), (3, 3));
}

/// A reset may come before the connection is made or right behind it.
async fn refused(proxy: &FaultProxy) {
    let end = match TcpStream::connect(proxy.addr()).await {
        Ok(mut client) => drain(&mut client).await.1,
        Err(e) => Err(e),
    };
    assert!(is_reset(&end), "{end:?}");
}

#[tokio::test]
async fn close_all_cuts_what_is_open_even_behind_a_partition() {
    for how in [Cut::Reset, Cut::Finish] {
        let (proxy, mut client, mut server) = ends(|_| {}).await;
        proxy.partition();
        proxy.close_all(how);
        let ends = [drain(&mut client).await.1, drain(&mut server).await.1];
        assert!(ends.iter().all(|end| is_reset(end) == (how == Cut::Reset)), "{how:?}: {ends:?}");
    }
    let (_echo, proxy) = proxied().await;
    proxy.close_all(Cut::Reset);
    let mut new = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(ask(&mut new, b"a").await, b"a", "a connection that came later is not cut");
}

#[tokio::test]
async fn what_the_next_connection_meets_comes_on_top() {
    let (_echo, proxy) = proxied().await;
    let late = Duration::from_millis(40);
    proxy.all().only(Direction::ToServer).latency(late);
    proxy.next().only(Direction::ToClient).cut_after(1, Cut::Reset);
    let began = Instant::now();
    let mut first = TcpStream::connect(proxy.addr()).await.unwrap();
    first.write_all(b"ab").await.unwrap();
    assert_eq!(drain(&mut first).await.0, b"a");
    assert!(began.elapsed() >= late);
    let mut second = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(ask(&mut second, b"ab").await, b"ab");
}

#[tokio::test]
async fn dropping_it_ends_its_connections_and_frees_its_port() {
    let (_echo, proxy) = proxied().await;
    let addr = proxy.addr();
    let mut client = TcpStream::connect(addr).await.unwrap();
    ask(&mut client, b"a").await;
    drop(proxy);
    assert_eq!(soon(client.read(&mut [0; 1])).await.unwrap_or(0), 0);
    let gone = async { while TcpStream::connect(addr).await.is_ok() {} };
    soon(gone).await;
}

#[tokio::test]
async fn whatever_is_switched_while_it_runs_no_byte_is_lost_or_swapped() {
    let ms = |n: u64| Duration::from_millis(n);
    for seed in 0..8 {
        let rng = SeededRng::new(seed);
        let (_echo, proxy) = proxied().await;
        let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
        let sent: Vec<u8> = (0..20_000).map(|_| rng.next_u64().to_le_bytes()[0]).collect();
        let (mut from, mut to) = client.split();
        let (mut heard, mut rest) = (vec![0; sent.len()], sent.as_slice());
        let write = async {
            while !rest.is_empty() {
                let size = usize::try_from(1 + rng.below(2_500)).unwrap().min(rest.len());
                to.write_all(&rest[..size]).await.unwrap();
                rest = &rest[size..];
                let direction = [Direction::ToServer, Direction::ToClient][size % 2];
                let faults = proxy.all().only(direction);
                match rng.below(6) {
                    0 => faults.latency(ms(rng.below(4))),
                    1 => faults.jitter(ms(rng.below(4)), seed),
                    2 => faults.bandwidth(400_000),
                    3 => faults.slice(size, ms(1)),
                    4 => faults.partition(),
                    _ => faults.clear(),
                };
                sleep(ms(rng.below(3))).await;
            }
            proxy.all().clear();
        };
        let (_, read) = soon(async { tokio::join!(write, from.read_exact(&mut heard)) }).await;
        read.unwrap();
        assert!(heard == sent, "seed {seed}");
    }
}
