//! The two ways to end a TCP connection.

use std::time::Duration;

use tokio::{
    io::{AsyncWriteExt, copy, sink},
    net::TcpStream,
    time::timeout,
};

/// How long a peer may go on talking to a connection that was finished.
const HEAR_OUT: Duration = Duration::from_secs(2);

/// Ends by RST; what the kernel has not sent yet is lost.
pub(crate) fn reset(stream: TcpStream) {
    // A socket that can't be set any more is gone, and needs no reset.
    let _gone = stream.set_zero_linger();
    drop(stream);
}

/// Ends by FIN, and hears the peer out: closing over unread bytes would send a RST.
pub(crate) async fn finish(mut stream: TcpStream) {
    if stream.shutdown().await.is_ok() {
        let _end = timeout(HEAR_OUT, copy(&mut stream, &mut sink())).await;
    }
}
