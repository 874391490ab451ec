//! Tests of cookies and their files.

use std::os::unix::fs::MetadataExt;
use std::sync::Barrier;

use super::*;

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().expect("a directory"))
    }

    fn path(&self) -> PathBuf {
        self.0.path().join(COOKIE_FILE)
    }

    fn with(mode: u32, content: &[u8]) -> Place {
        let place = Place::new();
        std::fs::write(place.path(), content).expect("a file");
        std::fs::set_permissions(place.path(), Permissions::from_mode(mode)).expect("permissions");
        place
    }

    fn refused(&self) -> String {
        let error = Cookie::from_file_or_new(self.path()).expect_err("unfit").to_string();
        assert!(error.contains(COOKIE_FILE), "{error}");
        error
    }
}

#[test]
fn a_cookie_is_some_text_and_not_too_much() {
    assert!(matches!(Cookie::new(" \n"), Err(CookieError::Empty)));
    assert!(Cookie::new("x".repeat(MAX_COOKIE)).is_ok());
    assert!(matches!(Cookie::new("x".repeat(MAX_COOKIE + 1)), Err(CookieError::TooLong)));
    let cookie = Cookie::new("secret").expect("a cookie");
    assert!(!format!("{cookie:?} {cookie:#?}").contains("secret"));
    assert!(cookie != Cookie::new("secret2").expect("a cookie") && cookie != Cookie::new("secreT").expect("a cookie"));
}

#[test]
fn a_file_is_made_on_first_use_and_found_again() {
    let place = Place::new();
    assert!(matches!(Cookie::from_file(place.path()), Err(CookieError::File { action: "read", .. })));
    let cookie = Cookie::from_file_or_new(place.path()).expect("a cookie");
    assert!(cookie == Cookie::from_file(place.path()).expect("a cookie"));
    assert_eq!(cookie.secret().len(), 2 * RANDOM);
    assert_eq!(std::fs::metadata(place.path()).expect("a file").mode() & 0o7777, 0o600);
    assert_eq!(std::fs::read_dir(place.0.path()).expect("a directory").count(), 1, "nothing else is left");
    assert!(cookie != Cookie::from_file_or_new(Place::new().path()).expect("another one"));
}

#[test]
fn nodes_that_start_together_agree() {
    const NODES: usize = 8;
    for _ in 0..8 {
        let (place, start) = (Place::new(), Barrier::new(NODES));
        let cookies: Vec<Cookie> = std::thread::scope(|scope| {
            let one = || {
                start.wait();
                Cookie::from_file_or_new(place.path()).expect("a cookie")
            };
            let threads: Vec<_> = (0..NODES).map(|_| scope.spawn(one)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        assert!(cookies.windows(2).all(|pair| pair[0] == pair[1]));
        assert_eq!(std::fs::read_dir(place.0.path()).expect("a directory").count(), 1);
    }
}

#[test]
fn a_file_that_others_can_get_at_is_refused() {
    for mode in [0o644, 0o640, 0o604, 0o660, 0o601, 0o620] {
        let error = Place::with(mode, b"secret").refused();
        assert!(error.contains(&format!("mode {mode:04o}")) && error.contains("chmod 600"), "{error}");
        assert!(!error.contains("secret`"), "{error}");
    }
    assert!(Cookie::from_file(Place::with(0o400, b"secret\n").path()).is_ok());
}

#[test]
fn what_is_no_cookie_is_refused() {
    assert!(Place::with(0o600, b"\n").refused().contains("is empty"));
    assert!(Place::with(0o600, &[b'x'; 5000]).refused().contains("longer than 1024"));
    let place = Place::new();
    std::fs::create_dir(place.path()).expect("a directory");
    assert!(place.refused().contains("is a directory"));
    let place = Place::new();
    rustix::fs::mknodat(rustix::fs::CWD, place.path(), rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("a pipe");
    assert!(place.refused().contains("no regular file"));
    let place = Place::new();
    let nowhere = place.0.path().join("missing").join(COOKIE_FILE);
    assert!(Cookie::from_file_or_new(&nowhere).expect_err("no directory").to_string().contains("cannot be made"));
}
