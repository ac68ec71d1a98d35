//! A server on loopback that hands out planted tokens, and tells all it knows when it fails.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Answers of the token end point, in order: status and body.
pub(super) type Answers = Arc<Mutex<VecDeque<(u16, String)>>>;

pub(super) fn tokens(access: &str, refresh: Option<&str>) -> (u16, String) {
    let answer = json!({
        "access_token": access,
        "token_type": "Bearer",
        "expires_in": 1000,
        "refresh_token": refresh,
    });
    (200, answer.to_string())
}

/// Serves until it is dropped; the address begins with `http://`.
pub(super) async fn serve(answers: Answers) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(answer(stream, Arc::clone(&answers)));
        }
    });
    (base, tasks)
}

async fn answer(mut stream: TcpStream, answers: Answers) {
    let Some(request) = read(&mut stream).await else { return };
    let path = request.split(' ').nth(1).unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default();
    // What a careless server does: it sends back all that it was sent.
    let echo = request.replace(['\r', '\n'], " ");
    let (status, body) = match path {
        "/token" => {
            let next = answers.lock().expect("not poisoned").pop_front();
            next.unwrap_or((503, echo.clone()))
        }
        "/api/ok" => (200, json!({ "name": "Ada" }).to_string()),
        "/api/401" => (401, echo.clone()),
        "/api/403" => (403, echo.clone()),
        "/api/reset" => return,
        _ => (500, echo.clone()),
    };
    let mut headers = format!("content-length: {}\r\nconnection: close\r\n", body.len());
    if status >= 400 {
        headers.push_str(&format!("www-authenticate: Bearer realm=\"{echo}\"\r\n"));
    }
    let head = format!("HTTP/1.1 {status} x\r\n{headers}\r\n");
    let _gone = stream.write_all([head.as_bytes(), body.as_bytes()].concat().as_slice()).await;
}

async fn read(stream: &mut TcpStream) -> Option<String> {
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let n = stream.read(&mut piece).await.ok()?;
        bytes.extend_from_slice(&piece[..n]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.to_ascii_lowercase();
        let length = length.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        let length: usize = length.and_then(|n| n.trim().parse().ok()).unwrap_or_default();
        if n == 0 || body.len() >= length {
            return Some(text);
        }
    }
}
