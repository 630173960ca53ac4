//! HTTP/1.1 messages as bytes: read one from a connection, and look into it without judging it.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

/// One request or response exactly as it arrived, body included (chunked framing and all).
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// Start line, headers and the empty line.
    pub(crate) head: Vec<u8>,
    /// What followed, still framed.
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// The first line.
    pub(crate) fn start_line(&self) -> String {
        self.lines().next().unwrap_or_default()
    }

    /// The request target, or the status of a response.
    pub(crate) fn second_word(&self) -> String {
        self.start_line().split(' ').nth(1).unwrap_or_default().to_owned()
    }

    /// The path of a request, without its query.
    pub(crate) fn path(&self) -> String {
        self.second_word().split('?').next().unwrap_or_default().to_owned()
    }

    /// Every value of a header, in the order they came.
    pub(crate) fn headers(&self, name: &str) -> Vec<String> {
        self.lines()
            .skip(1)
            .filter_map(|line| {
                let (found, value) = line.split_once(':')?;
                found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
            .collect()
    }

    /// The first value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.headers(name).into_iter().next()
    }

    /// Head and body together.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        [self.head.as_slice(), self.body.as_slice()].concat()
    }

    fn lines(&self) -> impl Iterator<Item = String> {
        let text = String::from_utf8_lossy(&self.head).into_owned();
        text.lines().map(str::to_owned).collect::<Vec<_>>().into_iter()
    }
}

/// Reads up to and including the empty line. `None` when the connection ended before a first byte.
pub(crate) async fn read_head(reader: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Message>> {
    let mut head = Vec::new();
    loop {
        let line_start = head.len();
        if reader.read_until(b'\n', &mut head).await? == 0 {
            let cut = Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended inside a head"));
            return if head.is_empty() { Ok(None) } else { cut };
        }
        if matches!(&head[line_start..], b"\r\n" | b"\n") {
            return Ok(Some(Message { head, body: Vec::new() }));
        }
    }
}

/// Reads the body that the head announces: chunked, by length, or none.
pub(crate) async fn read_body(
    reader: &mut (impl AsyncBufRead + Unpin),
    message: &mut Message,
) -> io::Result<()> {
    if message.header("transfer-encoding").is_some() {
        return read_chunks(reader, &mut message.body).await;
    }
    let length = message.header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
    message.body.resize(length, 0);
    reader.read_exact(&mut message.body).await.map(drop)
}

async fn read_chunks(reader: &mut (impl AsyncBufRead + Unpin), body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let line = read_line(reader, body).await?;
        let size = line.split(';').next().and_then(|size| usize::from_str_radix(size.trim(), 16).ok());
        let size = size.ok_or_else(|| io::Error::other(format!("not a chunk size: {line:?}")))?;
        if size == 0 {
            while !read_line(reader, body).await?.trim().is_empty() {}
            return Ok(());
        }
        let start = body.len();
        body.resize(start + size + 2, 0);
        reader.read_exact(&mut body[start..]).await?;
    }
}

async fn read_line(reader: &mut (impl AsyncBufRead + Unpin), into: &mut Vec<u8>) -> io::Result<String> {
    let start = into.len();
    match reader.read_until(b'\n', into).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(String::from_utf8_lossy(&into[start..]).into_owned()),
    }
}
