//! A way in between two servers that can be shut or made to hang: what a network does.

use std::{net::Ipv4Addr, sync::Arc};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// What becomes of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// They pass.
    Open,
    /// Connections are closed.
    Shut,
    /// Connections stay, and nothing comes through.
    Hanging,
}

/// A port in front of another one.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    way: Arc<watch::Sender<Way>>,
}

impl Proxy {
    /// In front of a port of this machine.
    pub(crate) async fn before(target: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let way = Arc::new(watch::Sender::new(Way::Open));
        let seen = way.subscribe();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(pass(connection, target, seen.clone()));
            }
        });
        Self { port, way }
    }

    pub(crate) fn set(&self, way: Way) {
        self.way.send_replace(way);
    }
}

/// Passes bytes while the way is open. After that the connection is of no use any more.
async fn pass(mut near: TcpStream, target: u16, mut way: watch::Receiver<Way>) {
    let open = async {
        if let Ok(mut far) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await {
            let _ = copy_bidirectional(&mut near, &mut far).await;
        }
    };
    let was_open = *way.borrow() == Way::Open;
    if was_open {
        tokio::select! {
            () = open => return,
            _ = way.wait_for(|way| *way != Way::Open) => {}
        }
    }
    // Whoever hangs is told when the way opens again, by the end of the connection.
    let _ = way.wait_for(|way| *way != Way::Hanging).await;
}
