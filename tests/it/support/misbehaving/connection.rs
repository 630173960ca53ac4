//! One connection of the misbehaving server, request after request.

use std::io;
use std::ops::ControlFlow;

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::behaviour::{Behaviour, Reply};
use super::{Message, State};
use crate::support::wire;

/// Serves until the client leaves or a behaviour ends the connection.
pub(super) async fn serve(stream: TcpStream, state: &State) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    while let Some(mut request) = wire::read_head(&mut stream).await? {
        let seen_before = state.count(&request.path());
        if request.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        wire::read_body(&mut stream, &mut request).await?;
        state.received.lock().unwrap().push(request.clone());
        let behaviour = state.next_behaviour(&request.path(), seen_before);
        let closes = request.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        if behave(&mut stream, &request, behaviour).await?.is_break() || closes {
            break;
        }
    }
    Ok(())
}

/// Does what was asked; breaks when the connection is over.
async fn behave(
    stream: &mut BufReader<TcpStream>,
    request: &Message,
    mut behaviour: Behaviour,
) -> io::Result<ControlFlow<()>> {
    loop {
        match behaviour {
            Behaviour::After(wait, then) => {
                unless_client_leaves(stream, tokio::time::sleep(wait)).await?;
                behaviour = *then;
            }
            Behaviour::Held(gate, then) => {
                unless_client_leaves(stream, gate.pass()).await?;
                behaviour = *then;
            }
            at_once => return act(stream, request, at_once).await,
        }
    }
}

async fn act(
    stream: &mut BufReader<TcpStream>,
    request: &Message,
    behaviour: Behaviour,
) -> io::Result<ControlFlow<()>> {
    match behaviour {
        Behaviour::Answer(reply) => answer(stream, request, &reply).await?,
        Behaviour::Echo => answer(stream, request, &Reply::ok(request.bytes())).await?,
        Behaviour::Raw(bytes) => stream.write_all(&bytes).await?,
        Behaviour::RawThenClose(bytes) => {
            stream.write_all(&bytes).await?;
            return Ok(ControlFlow::Break(()));
        }
        Behaviour::RawThenReset(bytes) => {
            stream.write_all(&bytes).await?;
            stream.get_ref().set_zero_linger()?;
            return Ok(ControlFlow::Break(()));
        }
        Behaviour::Drip(interval, reply) => {
            stream.write_all(&head(&reply)).await?;
            for byte in &reply.body {
                tokio::time::sleep(interval).await;
                stream.write_all(&[*byte]).await?;
            }
        }
        Behaviour::Halves(gate, reply) => {
            let (first, second) = reply.body.split_at(reply.body.len() / 2);
            stream.write_all(&[&head(&reply)[..], first].concat()).await?;
            unless_client_leaves(stream, gate.pass()).await?;
            stream.write_all(second).await?;
        }
        // Whatever arrives is ignored; the end of the client's side ends the wait.
        Behaviour::Hang => while stream.read(&mut [0; 1024]).await? > 0 {},
        Behaviour::After(..) | Behaviour::Held(..) => unreachable!("`behave` unwraps those"),
    }
    Ok(ControlFlow::Continue(()))
}

/// Waits, but not for a client who has left. What it sends meanwhile stays in the buffer.
async fn unless_client_leaves(
    stream: &mut BufReader<TcpStream>,
    wait: impl Future<Output = ()>,
) -> io::Result<()> {
    let left = async {
        if stream.fill_buf().await.is_ok_and(|next| !next.is_empty()) {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = wait => Ok(()),
        () = left => Err(io::ErrorKind::BrokenPipe.into()),
    }
}

async fn answer(stream: &mut BufReader<TcpStream>, request: &Message, reply: &Reply) -> io::Result<()> {
    let without_body = request.start_line().starts_with("HEAD ") || matches!(reply.status, 204 | 304);
    let body = if without_body { Bytes::new() } else { reply.body.clone() };
    stream.write_all(&[&head(reply)[..], &body[..]].concat()).await
}

fn head(reply: &Reply) -> Vec<u8> {
    let status = format!("HTTP/1.1 {} Scripted\r\n", reply.status);
    let bodiless = matches!(reply.status, 204 | 304);
    let length = (!bodiless).then(|| format!("Content-Length: {}\r\n", reply.body.len()));
    let headers = reply.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
    let lines = std::iter::once(status).chain(length).chain(headers).chain(["\r\n".to_owned()]);
    lines.collect::<String>().into_bytes()
}
