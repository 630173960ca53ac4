//! A server that breaks in every way a test asks for, and remembers exactly what reached it.
//!
//! Some paths misbehave by themselves (see [`Behaviour::of_path`]); [`Misbehaving::script`] gives any path any
//! sequence of behaviours. Speaks HTTP/1.1 with keep-alive from raw sockets, because a proper server library
//! refuses to send what is broken.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::process::raise_open_files_limit;
use super::wire::Message;

pub(crate) use behaviour::{Behaviour, Reply};
pub(crate) use gate::Gate;

/// What it can do.
mod behaviour;
/// One connection, request after request.
mod connection;
/// Holds answers until told.
mod gate;

/// A running server. Dropping it closes its port and every connection.
pub(crate) struct Misbehaving {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

/// What connections share.
#[derive(Default)]
struct State {
    scripts: Mutex<HashMap<String, Script>>,
    received: Mutex<Vec<Message>>,
    seen: Mutex<HashMap<String, usize>>,
    connections: Mutex<Connections>,
}

#[derive(Default)]
struct Connections {
    accepted: usize,
    open: usize,
}

/// Behaviours still to come; the last one stays.
struct Script {
    last: Behaviour,
    coming: std::vec::IntoIter<Behaviour>,
}

impl Misbehaving {
    /// Starts on a free port.
    pub(crate) async fn start() -> Self {
        raise_open_files_limit();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let accepting = tokio::spawn(accept(listener, Arc::clone(&state)));
        Self { address, state, accepting }
    }

    /// `http://127.0.0.1:port`
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on requests for this path (the query does not matter) meet these behaviours, one each, and then
    /// the last of them for ever.
    pub(crate) fn script(&self, path: &str, behaviours: impl IntoIterator<Item = Behaviour>) {
        let behaviours: Vec<_> = behaviours.into_iter().collect();
        let last = behaviours.last().expect("a script has at least one behaviour").clone();
        let script = Script { last, coming: behaviours.into_iter() };
        self.state.scripts.lock().unwrap().insert(path.to_owned(), script);
    }

    /// Requests for this path whose head arrived, answered or not.
    pub(crate) fn seen(&self, path: &str) -> usize {
        self.state.seen.lock().unwrap().get(path).copied().unwrap_or(0)
    }

    /// Requests for any path whose head arrived.
    pub(crate) fn seen_in_all(&self) -> usize {
        self.state.seen.lock().unwrap().values().sum()
    }

    /// Every request that arrived whole, in order, exactly as it came.
    pub(crate) fn received(&self) -> Vec<Message> {
        self.state.received.lock().unwrap().clone()
    }

    /// Connections accepted since the start.
    pub(crate) fn connections_accepted(&self) -> usize {
        self.state.connections.lock().unwrap().accepted
    }

    /// Connections that the client has not closed yet, as far as the server noticed.
    pub(crate) fn connections_open(&self) -> usize {
        self.state.connections.lock().unwrap().open
    }
}

impl Drop for Misbehaving {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl State {
    fn next_behaviour(&self, path: &str, seen_before: usize) -> Behaviour {
        match self.scripts.lock().unwrap().get_mut(path) {
            Some(script) => script.coming.next().unwrap_or_else(|| script.last.clone()),
            None => Behaviour::of_path(path, seen_before),
        }
    }

    /// Counts a request; returns how many came before it.
    fn count(&self, path: &str) -> usize {
        let mut seen = self.seen.lock().unwrap();
        let count = seen.entry(path.to_owned()).or_default();
        *count += 1;
        *count - 1
    }
}

/// Counts a connection as open for as long as it lives.
struct Open(Arc<State>);

impl Open {
    fn new(state: Arc<State>) -> Self {
        let mut connections = state.connections.lock().unwrap();
        connections.accepted += 1;
        connections.open += 1;
        drop(connections);
        Self(state)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.lock().unwrap().open -= 1;
    }
}

/// The set of connections is this task's own, so they end when it is aborted.
async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                connections.spawn(serve(stream, Open::new(Arc::clone(&state))));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, open: Open) {
    // An error is a client that left, which is for the client's side of a test to judge.
    let _ = connection::serve(stream, &open.0).await;
}
