//! Servers that take messages, as well or as badly as a test wants: mail (SMTP) and the web (HTTP).

use crate::{LabError, Node, try_eventually};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What it speaks.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// Mail, without TLS.
    Smtp,
    /// The web, without TLS.
    Http,
}

/// How it behaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Manner {
    /// It takes what comes; a web server says this.
    Takes(String),
    /// It takes connections and says nothing.
    Hangs,
    /// It says the same without end.
    Endless,
    /// It sends back to itself; a mail server says `421`.
    Circles,
}

/// What it was sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Received {
    /// By whom.
    pub peer: IpAddr,
    /// All of it: of mail the envelope, too, of the web the head.
    pub text: String,
}

/// A server.
#[derive(Debug)]
pub struct Receiver {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    protocol: Protocol,
    manner: Mutex<Manner>,
    received: Mutex<Vec<Received>>,
    stop: AtomicBool,
}

impl Receiver {
    /// Starts one that takes what comes.
    ///
    /// # Errors
    /// When it cannot listen there.
    pub fn start(
        node: &Node,
        address: (Ipv4Addr, u16),
        protocol: Protocol,
    ) -> Result<Self, LabError> {
        let listener = node
            .enter(|| TcpListener::bind(address))
            .map_err(|e| LabError::io(format!("listen on {address:?} in {}", node.name()), e))?;
        listener.set_nonblocking(true).map_err(|e| LabError::io("listen", e))?;
        let shared = Arc::new(Shared {
            protocol,
            manner: Mutex::new(Manner::Takes("ok".into())),
            received: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let all = Arc::clone(&shared);
        let thread = thread::spawn(move || accept(&listener, &all));
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Connections from now on are served like this.
    pub fn behave(&self, manner: Manner) {
        *self.shared.manner.lock().unwrap_or_else(PoisonError::into_inner) = manner;
    }

    /// What has come.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until so many messages have come.
    ///
    /// # Errors
    /// When they do not within `limit`.
    pub fn wait(&self, count: usize, limit: Duration) -> Result<Vec<Received>, LabError> {
        try_eventually(limit, &format!("{count} messages"), || {
            let received = self.received();
            if received.len() >= count { Ok(received) } else { Err(format!("{received:#?}")) }
        })
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while !shared.stop.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((stream, peer)) => {
                let shared = Arc::clone(shared);
                // It ends with its connection, or with the test.
                thread::spawn(move || {
                    let _ = serve(stream, peer.ip(), &shared);
                });
            }
            Err(_) => thread::sleep(TICK),
        }
    }
}

fn serve(mut stream: TcpStream, peer: IpAddr, shared: &Shared) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let manner = shared.manner.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let text = match (manner, shared.protocol) {
        (Manner::Hangs, _) => {
            while !shared.stop.load(Ordering::Relaxed) {
                thread::sleep(TICK);
            }
            return Ok(());
        }
        (Manner::Endless, protocol) => {
            let (first, again) = match protocol {
                Protocol::Smtp => ("220-", "220-and so on\r\n"),
                Protocol::Http => ("HTTP/1.1 503 Busy\r\n\r\n", "and so on\r\n"),
            };
            stream.write_all(first.as_bytes())?;
            while !shared.stop.load(Ordering::Relaxed) {
                stream.write_all(again.repeat(1000).as_bytes())?;
            }
            return Ok(());
        }
        (Manner::Circles, Protocol::Smtp) => return stream.write_all(b"421 later\r\n"),
        (Manner::Circles, Protocol::Http) => {
            request(&mut BufReader::new(&stream))?;
            let answer = "HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n";
            return stream.write_all(answer.as_bytes());
        }
        (Manner::Takes(_), Protocol::Smtp) => mail(&stream)?,
        (Manner::Takes(words), Protocol::Http) => {
            let text = request(&mut BufReader::new(&stream))?;
            let length = words.len();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{words}");
            stream.write_all(answer.as_bytes())?;
            text
        }
    };
    shared.received.lock().unwrap_or_else(PoisonError::into_inner).push(Received { peer, text });
    Ok(())
}

/// Head and body of a request.
fn request(reader: &mut impl BufRead) -> io::Result<String> {
    let mut text = String::new();
    let mut length = 0;
    while !text.ends_with("\r\n\r\n") {
        let from = text.len();
        if reader.read_line(&mut text)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some((name, value)) = text[from..].split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    text.push_str(&String::from_utf8_lossy(&body));
    Ok(text)
}

/// Envelope and content of a mail.
fn mail(stream: &TcpStream) -> io::Result<String> {
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    writer.write_all(b"220 lab.example.org ESMTP\r\n")?;
    let mut text = String::new();
    loop {
        let from = text.len();
        if reader.read_line(&mut text)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match text[from..].to_ascii_uppercase().split_whitespace().next() {
            Some("DATA") => break,
            Some("QUIT") => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => writer.write_all(b"250 ok\r\n")?,
        }
    }
    writer.write_all(b"354 go\r\n")?;
    while !text.ends_with("\r\n.\r\n") {
        if reader.read_line(&mut text)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    writer.write_all(b"250 2.0.0 taken\r\n")?;
    // Who says goodbye hears one; who does not has gone.
    let mut line = String::new();
    let _ = reader.read_line(&mut line).and_then(|_| writer.write_all(b"221 bye\r\n"));
    Ok(text)
}

const TICK: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(10);
