//! Doors: listeners inside that are answered outside.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use recto_cell::{Doors, launch};
use recto_protocol::policy::Network;
use recto_protocol::ports::cell::{CellError, Door, ExitStatus, Gateway};

use crate::support::{Place, python, run};

crate::cases! {
    doors_are_answered_outside,
    a_door_needs_a_network_of_its_own,
    closed_cells_answer_no_more,
}

/// Says which door was used, and what came through it.
struct Echo;

impl Gateway for Echo {
    fn connection(&self, door: usize, connection: OwnedFd) {
        std::thread::spawn(move || {
            let mut stream = TcpStream::from(connection);
            let mut said = [0; 5];
            stream.read_exact(&mut said).unwrap();
            let said = String::from_utf8_lossy(&said);
            write!(stream, "door {door} heard {said}").unwrap();
        });
    }
}

fn doors() -> Option<Doors> {
    let door = |last, port, host: Option<&str>| Door {
        at: SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, last), port),
        host: host.map(str::to_owned),
    };
    Some(Doors {
        list: vec![
            door(1, 3128, None),
            door(2, 5432, Some("database.internal")),
            // Nothing of it may get into the hosts file.
            door(3, 80, Some("evil\n127.0.0.9 x")),
        ],
        gateway: Arc::new(Echo),
    })
}

const ASK: &str = "
import socket, sys
for place in (('127.0.0.1', 3128), ('database.internal', 5432)):
    s = socket.create_connection(place, 5)
    s.sendall(b'hello')
    print(s.makefile().read())
print(open('/etc/hosts').read().count('evil'))
";

async fn doors_are_answered_outside() {
    let place = Place::new();
    let mut spec = place.spec();
    spec.doors = doors();
    let cell = launch(spec).await.unwrap();
    let (output, status) = run(&cell, python(ASK)).await;
    assert_eq!(output, "door 0 heard hello\ndoor 1 heard hello\n0\n");
    assert_eq!(status, ExitStatus::Code(0));
    cell.close().await;
}

async fn a_door_needs_a_network_of_its_own() {
    let place = Place::new();
    let mut spec = place.spec();
    spec.policy.network = Network::Open;
    spec.doors = doors();
    let refused = launch(spec).await.err();
    assert!(matches!(refused, Some(CellError::Unavailable { .. })));
}

/// Counts on nothing but the end: what the gateway holds is its own affair.
async fn closed_cells_answer_no_more() {
    let place = Place::new();
    let mut spec = place.spec();
    let gateway: Arc<dyn Gateway> = Arc::new(Echo);
    spec.doors = doors().map(|doors| Doors {
        gateway: Arc::clone(&gateway),
        ..doors
    });
    let cell = launch(spec).await.unwrap();
    cell.close().await;
    // The accepting tasks are gone, and with them their handles to the gateway.
    assert_eq!(Arc::strong_count(&gateway), 1);
}
