//! The bytes of the handshake. If one of these tests fails, [`PROTOCOL`] has to go up.

use super::super::wire::{Claim, Kind, frame, read_claim, write_claim, write_refusal};
use super::*;

const IDENTITY: &[u8] = b"\x07worker1\x05there\x01\x07\xa0\x1f\x050.1.0\
    \x03\x03\x03\x03\x03\x03\x03\x03\x03\x03\x03\x03\x03\x03\x03\x03\
    \x03\x03\x03\x03\x03\x03\x03\x03\x03\x03\x03\x03\x03\x03\x03\x03\
    \x01\x03gpu\x02\x80\x80\x80\x80\x04";

/// HMAC-SHA-256 by Python's `hmac`, key `secret`, of `skitter handshake dialer`, 32 bytes 1, 32 bytes 2, and the claim.
const DIALER_CODE: &str = "c606cf7549870dd434ebc634dee9a3d0d78a7389e7112a0899c0ebe3f4454996";
/// The same of `skitter handshake accept`, the nonces, the dialer's code, and [`IDENTITY`].
const ACCEPTOR_CODE: &str = "16bd97ee010f811acc7ce63a67f1297fdeef4128e9d3531927d5fe1863a1f308";

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digits: Vec<char> = hexadecimal.chars().collect();
    let pairs = digits.chunks(2).map(|pair| pair.iter().collect::<String>());
    pairs.map(|pair| u8::from_str_radix(&pair, 16).expect("hexadecimal")).collect()
}

fn claim() -> Vec<u8> {
    let identity = [b"\x06master\x04here\x00".as_slice(), &IDENTITY[15..]].concat();
    [identity, vec![0, 1, 1, 7], b"worker1".to_vec()].concat()
}

#[test]
fn an_identity_is_pinned() {
    assert_eq!(write_claim(&worker()), Ok(IDENTITY.to_vec()));
    assert_eq!(read_claim(IDENTITY), Ok(worker()));
}

/// Names become parts of paths; so none is taken from a peer that would lead elsewhere.
#[test]
fn a_name_that_leads_elsewhere_is_none() {
    for name in [b"../../x", b"/etc/ab", b"a\0bcdef", b"a\nbcdef"] {
        let claim = [&IDENTITY[..1], name, &IDENTITY[8..]].concat();
        let refusal = read_claim::<Identity>(&claim).expect_err("no name");
        assert_eq!(refusal.reason, Reason::Incompatible, "{refusal}");
    }
    assert!(read_claim::<Identity>(&[&IDENTITY[..1], b"..worker"[..7].as_ref(), &IDENTITY[8..]].concat()).is_ok());
}

#[test]
fn purposes_are_pinned() {
    let data = Purpose::Data { deployment: DeploymentId(300), from: 2 };
    assert_eq!(write_claim(&Purpose::Control), Ok(vec![0]));
    assert_eq!(write_claim(&data), Ok(vec![1, 0xac, 2, 2]));
    let watch = Purpose::Watch { deployment: DeploymentId(300), from: 2 };
    assert_eq!(write_claim(&watch), Ok(vec![2, 0xac, 2, 2]));
    let expect = Mode::Worker.named("worker1");
    let found = write_claim(&Claim { identity: master(), purpose: Purpose::Control, expect });
    assert_eq!(found, Ok(claim()));
}

#[test]
fn the_bytes_of_a_handshake_are_pinned() {
    let expect = Mode::Worker.named("worker1");
    let mut pair = Pair::new(dialer("secret", master(), expect), acceptor("secret", worker()));
    assert_eq!(pair.to_acceptor, [b"SKTR\x01\x01\x00\x20".as_slice(), &[1; 32]].concat());
    pair.accept(8, &Ok(()));
    pair.accept(32, &Ok(()));
    assert_eq!(pair.to_dialer, [b"SKTR\x01\x02\x00\x20".as_slice(), &[2; 32]].concat());
    pair.dial(8);
    pair.dial(32);
    let (code, claim) = (bytes(DIALER_CODE), claim());
    let length = u8::try_from(32 + claim.len()).expect("short");
    assert_eq!(pair.to_acceptor, [b"SKTR\x01\x03\x00", &[length][..], &code, &claim].concat());
    pair.accept(8, &Ok(()));
    pair.accept(usize::MAX, &Ok(()));
    let length = u8::try_from(32 + IDENTITY.len()).expect("short");
    assert_eq!(pair.to_dialer, [b"SKTR\x01\x04\x00", &[length][..], &bytes(ACCEPTOR_CODE), IDENTITY].concat());
    assert!(pair.run(&[], Ok(())).is_done());
}

#[test]
fn refusals_are_pinned() {
    let codes = [1, 2, 3, 4, 5, 6, 7, 8, 9];
    for (reason, code) in Reason::ALL.into_iter().zip(codes) {
        let expected = [b"SKTR\x01\x05\x00\x04".as_slice(), &[code], b"why"].concat();
        assert_eq!(write_refusal(&Refusal::new(reason, "why")), expected);
    }
    let words = Reason::ALL.map(Reason::as_str).join(" ");
    let contract = "not_connected not_skitter bad_cookie incompatible mode_mismatch already_connected has_master \
                    name_taken declared_dead";
    assert_eq!(words, contract);
    assert_eq!(frame(Kind::Refused, &[]), b"SKTR\x01\x05\x00\x00");
}
