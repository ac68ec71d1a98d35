//! Each fault does on the wire what its name says.

use std::{
    io::Read,
    time::{Duration, SystemTime},
};

use flate2::read::GzDecoder;
use openclaw_testkit::stub::{Fault, Malformed, Reply, StubServer, WrongLength, any, ok};
use serde_json::json;
use tokio::{io::AsyncWriteExt, time::Instant};

use super::{
    GET, LAST, answer, connect, drain, fetch, gives_up, is_reset, is_silent, raw, soon, stub,
};

/// A stub that answers everything with this fault on `{"paid":true}`.
async fn broken(fault: Fault) -> StubServer {
    let stub = stub().await;
    stub.on(any()).reply(ok(json!({"paid": true})).fault(fault));
    stub
}

const BODY: &str = r#"{"paid":true}"#;

#[tokio::test]
async fn slow_headers_come_byte_by_byte() {
    let pause = Duration::from_millis(2);
    let stub = broken(Fault::SlowHeaders { pause }).await;
    let began = Instant::now();
    assert_eq!(fetch(&stub).await.unwrap(), (200, BODY.into()));
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 13\r\n\r\n";
    let least = pause * u32::try_from(head.len()).unwrap();
    assert!(began.elapsed() >= least, "{:?}", began.elapsed());
    let stub = broken(Fault::SlowHeaders { pause: Duration::from_millis(20) }).await;
    assert!(gives_up(&stub).await, "a client gives up on the head");
}

#[tokio::test]
async fn a_trickle_keeps_its_rate_and_sends_its_head_at_once() {
    let stub = broken(Fault::Trickle { bytes_per_s: 50 }).await;
    let mut stream = connect(&stub).await;
    let began = Instant::now();
    stream.write_all(GET).await.unwrap();
    let heard = answer(&mut stream, 13).await;
    assert!(heard.ends_with(BODY));
    assert!(began.elapsed() >= Duration::from_millis(190), "{:?}", began.elapsed());
    let stub = broken(Fault::Trickle { bytes_per_s: 20 }).await;
    assert!(gives_up(&stub).await, "a client gives up on the body");
}

#[tokio::test]
async fn a_reset_comes_behind_exactly_so_many_bytes_of_the_answer() {
    for bytes in [0, 1, 9, 40, 80] {
        let stub = broken(Fault::ResetAfter { bytes }).await;
        let (heard, end) = raw(&stub, GET).await;
        assert_eq!(heard.len(), bytes, "{heard:?}");
        assert!(is_reset(&end), "{bytes}: {end:?}");
    }
    let stub = broken(Fault::ResetAfter { bytes: 10_000 }).await;
    let (heard, end) = raw(&stub, GET).await;
    assert!(heard.ends_with(BODY) && is_reset(&end), "the whole answer, then the reset: {end:?}");
    assert!(fetch(&broken(Fault::ResetAfter { bytes: 9 }).await).await.unwrap_err().is_request());
}

#[tokio::test]
async fn a_truncated_body_ends_by_fin_before_its_length() {
    let stub = broken(Fault::Truncate { bytes: 4 }).await;
    let (heard, end) = raw(&stub, GET).await;
    end.expect("a good end");
    assert!(
        heard.contains("content-length: 13\r\n") && heard.ends_with("\r\n\r\n{\"pa"),
        "{heard}"
    );
    let error = fetch(&stub).await.unwrap_err();
    assert!(error.is_body() || error.is_decode(), "{error:?}");
}

#[tokio::test]
async fn a_length_that_is_too_short_leaves_bytes_for_the_next_answer() {
    let stub = broken(Fault::WrongLength(WrongLength::Shorter { by: 3 })).await;
    let (heard, _) = raw(&stub, LAST).await;
    assert!(heard.contains("content-length: 10\r\n") && heard.ends_with(BODY), "{heard}");
    assert_eq!(fetch(&stub).await.unwrap(), (200, BODY[..10].into()), "the client was lied to");
}

#[tokio::test]
async fn a_length_that_is_too_long_keeps_the_client_waiting() {
    let stub = broken(Fault::WrongLength(WrongLength::Longer { by: 3 })).await;
    let mut stream = connect(&stub).await;
    stream.write_all(LAST).await.unwrap();
    let heard = answer(&mut stream, 13).await;
    assert!(heard.contains("content-length: 16\r\n") && heard.ends_with(BODY), "{heard}");
    assert!(is_silent(&mut stream).await);
    assert!(gives_up(&stub).await);
}

#[tokio::test]
async fn lengths_that_are_none_are_refused_by_a_client() {
    let lies = [
        (WrongLength::Conflicting, "content-length: 13\r\ncontent-length: 14\r\n"),
        (WrongLength::NotANumber, "content-length: many\r\n"),
    ];
    for (lie, line) in lies {
        let stub = broken(Fault::WrongLength(lie)).await;
        let (heard, _) = raw(&stub, LAST).await;
        assert!(heard.contains(line), "{lie:?}: {heard}");
        assert!(fetch(&stub).await.unwrap_err().is_request(), "{lie:?}");
    }
}

#[tokio::test]
async fn malformed_answers_are_what_they_are_called() {
    let kinds = [
        (Malformed::StatusLine, "HTP/1.1 two hundred\r\n"),
        (Malformed::Header, "\r\nno colon\0here\r\n"),
        (Malformed::Chunk, "\r\nd\r\n{\"paid\":true}\r\nzz\r\n"),
        (Malformed::Binary, "\u{FFFD}"),
    ];
    for (kind, part) in kinds {
        let stub = broken(Fault::Malformed(kind)).await;
        let (heard, end) = raw(&stub, GET).await;
        end.expect("a good end");
        assert!(heard.contains(part), "{kind:?}: {heard:?}");
        assert_eq!(heard.starts_with("HTTP/1.1 200 "), heard.contains("application"), "{kind:?}");
        let error = fetch(&stub).await.unwrap_err();
        assert!(error.is_request() || error.is_body() || error.is_decode(), "{kind:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_huge_header_is_as_large_as_it_was_asked_to_be() {
    let stub = broken(Fault::Malformed(Malformed::HugeHeader { bytes: 1 << 20 })).await;
    let (heard, _) = raw(&stub, GET).await;
    assert!(heard.contains(&"a".repeat(1 << 20)) && heard.ends_with(BODY));
    assert!(fetch(&stub).await.unwrap_err().is_request(), "a client has a bound");
}

#[tokio::test]
async fn a_hanging_stub_has_read_the_request_and_says_nothing() {
    let stub = broken(Fault::Hang).await;
    let mut stream = connect(&stub).await;
    stream.write_all(GET).await.unwrap();
    soon(stub.arrived(1)).await;
    assert!(is_silent(&mut stream).await);
    assert!(gives_up(&stub).await);
}

#[tokio::test]
async fn closing_is_a_fin_and_losing_the_answer_a_reset() {
    for (fault, reset) in [(Fault::Close, false), (Fault::LoseAnswer, true)] {
        let stub = broken(fault.clone()).await;
        let (heard, end) = raw(&stub, GET).await;
        assert!(heard.is_empty() && is_reset(&end) == reset, "{fault:?}: {heard} {end:?}");
        assert_eq!(stub.received().len(), 1, "{fault:?}: the request was read");
        assert!(fetch(&stub).await.unwrap_err().is_request(), "{fault:?}");
    }
}

#[tokio::test]
async fn a_gzip_bomb_is_small_on_the_wire_and_large_behind() {
    const LARGE: u64 = 24 * 1024 * 1024;
    let stub = broken(Fault::GzipBomb { decompressed_bytes: LARGE }).await;
    let client = reqwest::Client::new();
    let response = client.get(stub.url()).send().await.unwrap();
    assert_eq!(response.headers()["content-encoding"], "gzip");
    assert_eq!(response.headers()["transfer-encoding"], "chunked");
    let packed = response.bytes().await.unwrap();
    assert!(packed.len() < 40_000, "{} bytes on the wire", packed.len());
    let mut unpacked = GzDecoder::new(&packed[..]);
    let (mut bytes, mut block) = (0, vec![1; 64 * 1024]);
    while let read @ 1.. = unpacked.read(&mut block).unwrap() {
        assert!(block[..read].iter().all(|byte| *byte == 0));
        bytes += u64::try_from(read).unwrap();
    }
    assert_eq!(bytes, LARGE);
    for odd in [0, 1, 300_000] {
        let stub = broken(Fault::GzipBomb { decompressed_bytes: odd }).await;
        let (_, packed) = fetch(&stub).await.unwrap();
        let mut unpacked = Vec::new();
        GzDecoder::new(&packed[..]).read_to_end(&mut unpacked).unwrap();
        assert_eq!(u64::try_from(unpacked.len()).unwrap(), odd);
    }
}

#[tokio::test]
async fn a_delay_comes_before_the_first_byte() {
    let stub = stub().await;
    let late = Duration::from_millis(80);
    stub.on(any()).reply_seq([ok(json!(1)).delay(late), ok(json!(2)).delay(late * 100)]);
    let began = Instant::now();
    assert_eq!(fetch(&stub).await.unwrap(), (200, b"1".to_vec()));
    assert!(began.elapsed() >= late);
    assert!(gives_up(&stub).await);
}

#[tokio::test]
async fn a_fault_hits_the_replies_it_was_set_on() {
    let stub = stub().await;
    stub.on(any()).reply_seq([Reply::from(Fault::Close), ok(json!(2))]);
    fetch(&stub).await.unwrap_err();
    assert_eq!(fetch(&stub).await.unwrap(), (200, b"2".to_vec()));
}

#[tokio::test]
async fn dropping_it_ends_what_hangs() {
    let stub = broken(Fault::Hang).await;
    let mut stream = connect(&stub).await;
    stream.write_all(GET).await.unwrap();
    soon(stub.arrived(1)).await;
    drop(stub);
    assert_eq!(drain(&mut stream).await.0, "");
}

#[test]
fn the_dates_of_retry_after_are_those_of_the_calendar() {
    use openclaw_testkit::{env::EPOCH, stub::RetryAfter};
    let (_, text) = RetryAfter::Date(EPOCH).header();
    assert_eq!(text, "Thu, 01 Jan 2026 00:00:00 GMT");
    let far = openclaw_core::Timestamp::from_millis(u64::MAX);
    assert!(RetryAfter::Date(far).header().1.contains("9999"), "no year has five digits");
    let (_, past) = RetryAfter::Past.header();
    let ago = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    assert_eq!(httpdate::parse_http_date(&past).unwrap(), ago);
}
