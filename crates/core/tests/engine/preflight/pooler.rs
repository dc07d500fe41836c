//! A pooler between Replant and the server that gives a connection another session for each transaction.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use replant_core::db::DbUrl;
use replant_core::{RunError, Settings};
use replant_testkit::servers::{self, Kind};

use crate::world::{World, ordinary, postgres, texts};

/// Sessions of the server that no client has at the moment; the last one that was given back is the first to go.
#[derive(Default)]
struct Idle {
    sessions: Mutex<Vec<TcpStream>>,
    back: Condvar,
}

impl Idle {
    fn take(&self) -> TcpStream {
        let sessions = self.back.wait_while(self.sessions.lock().unwrap(), |sessions| sessions.is_empty());
        sessions.unwrap().pop().expect("one is there")
    }

    fn give_back(&self, session: TcpStream) {
        self.sessions.lock().unwrap().push(session);
        self.back.notify_one();
    }
}

/// A message: its kind, and its whole text with kind and length.
fn message(from: &mut TcpStream) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    from.read_exact(&mut head)?;
    let length = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
    let mut whole = head.to_vec();
    whole.resize(1 + length, 0);
    from.read_exact(&mut whole[5..])?;
    Ok((head[0], whole))
}

/// A session of the server, and all that it said until it was ready.
fn session(port: u16, database: &str) -> io::Result<(TcpStream, Vec<u8>)> {
    let mut server = TcpStream::connect(("127.0.0.1", port))?;
    let named = format!("user\0postgres\0database\0{database}\0\0");
    let length = u32::try_from(named.len() + 8).unwrap();
    server.write_all(&[&length.to_be_bytes()[..], &196_608_u32.to_be_bytes(), named.as_bytes()].concat())?;
    let mut greeting = Vec::new();
    loop {
        let (kind, whole) = message(&mut server)?;
        greeting.extend(whole);
        if kind == b'Z' {
            return Ok((server, greeting));
        }
    }
}

/// Serves a client until it goes: each transaction by whatever session is idle.
fn serve(mut client: TcpStream, idle: &Idle, greeting: &[u8]) -> io::Result<()> {
    loop {
        let mut head = [0; 8];
        client.read_exact(&mut head)?;
        let length = u32::from_be_bytes(head[..4].try_into().unwrap()) as usize;
        client.read_exact(&mut vec![0; length - 8])?;
        // Whoever asks for TLS or GSS gets none.
        if head[4..] == 196_608_u32.to_be_bytes() {
            break;
        }
        client.write_all(b"N")?;
    }
    client.write_all(greeting)?;
    let mut held: Option<TcpStream> = None;
    while let Ok((kind, whole)) = message(&mut client) {
        if kind == b'X' {
            break;
        }
        let mut server = held.take().unwrap_or_else(|| idle.take());
        server.write_all(&whole)?;
        let mut state = b'T';
        let asks = matches!(kind, b'Q' | b'S');
        while asks && state == b'T' {
            let (kind, whole) = message(&mut server)?;
            client.write_all(&whole)?;
            if kind == b'Z' {
                state = whole[5];
                break;
            }
        }
        match state {
            b'I' => idle.give_back(server),
            _ => held = Some(server),
        }
    }
    if let Some(server) = held {
        idle.give_back(server);
    }
    Ok(())
}

/// Starts a pooler of `sessions` sessions, for as long as the process lives. Returns its port.
fn pooler(port: u16, database: &str, sessions: usize) -> u16 {
    let idle = Arc::new(Idle::default());
    let mut greeting = Vec::new();
    for _ in 0..sessions {
        let (server, said) = session(port, database).unwrap();
        greeting = said;
        idle.give_back(server);
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let (idle, greeting) = (Arc::clone(&idle), greeting.clone());
            std::thread::spawn(move || serve(client, &idle, &greeting));
        }
    });
    own
}

#[test]
fn a_pooler_that_hands_sessions_around_is_refused() {
    let Some(target) = postgres() else { return };
    let database = texts(&target, "SELECT current_database()::text AS value").remove(0);
    let address = servers::available(Kind::Postgres).unwrap().url(&database);
    let port: u16 = address.rsplit_once(':').and_then(|(_, rest)| rest.split('/').next()?.parse().ok()).unwrap();
    for sessions in [1, 2, 4] {
        let pooled = pooler(port, &database, sessions);
        let url: DbUrl = address.replace(&format!(":{port}/"), &format!(":{pooled}/")).parse().unwrap();
        let error = World::new(&ordinary(20)).migration(&url, Settings::default()).plan().expect_err("it is refused");
        assert!(matches!(error, RunError::Preflight { .. }), "{error:?}");
        assert!(error.to_string().contains("a pooler that hands sessions around"), "{error}");
    }
}
