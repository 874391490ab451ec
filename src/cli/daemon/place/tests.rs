//! Where the state of a node is, and who has it.

use tempfile::{TempDir, tempdir};

use super::*;

fn place(directory: &TempDir, name: &str) -> Place {
    Place { directory: directory.path().join("skitter").join(name), what: what("worker", name) }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").mode() & 0o7777
}

#[test]
fn a_place_has_the_mode_the_name_and_at_home_the_host() {
    let found = places("worker", "w1", "a/b", Some("/run/x".into()), Some("/home/y/.local/state".into()));
    let paths: Vec<_> = found.iter().map(|place| place.directory.display().to_string()).collect();
    assert_eq!(paths, ["/run/x/skitter/worker-w1", "/home/y/.local/state/skitter/worker-w1@a_b"]);
    assert_eq!(found[0].what(), "worker node `w1`");
    assert!(places("local", "x", "h", None, None).is_empty());
}

#[test]
fn a_directory_that_goes_away_at_logout_is_not_used() {
    let (directory, user) = (tempdir().expect("a directory"), geteuid().as_raw());
    assert!(is_usable(directory.path(), user, directory.path()));
    assert!(!is_usable(Path::new("relative"), user, directory.path()));
    assert!(!is_usable(Path::new("/run/user/4242424242"), user, directory.path()));
    assert!(!lingers(4_242_424, directory.path()));
    fs::write(directory.path().join("4242424"), "").expect("written");
    assert!(lingers(4_242_424, directory.path()));
    fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).expect("permissions");
    assert!(!is_usable(directory.path(), user, directory.path()));
}

#[test]
fn what_is_there_while_a_node_runs_is_private_and_goes_with_it() {
    let directory = tempdir().expect("a directory");
    let place = place(&directory, "worker-w1");
    assert!(matches!(place.holder(), Ok(None)));
    let lock = place.lock().expect("free");
    let _listener = lock.listen().expect("a socket");
    assert_eq!(mode(place.directory()), 0o700);
    assert_eq!(mode(&place.directory().join("control")), 0o600);
    assert_eq!(mode(&place.pid()), 0o600);
    assert_eq!(fs::read_to_string(place.pid()).expect("a number"), format!("{}\n", std::process::id()));
    drop(lock);
    assert!(!place.directory().exists());
    // A log stays.
    let lock = place.lock().expect("free");
    fs::write(place.log(), "words").expect("written");
    drop(lock);
    assert!(place.log().exists() && !place.pid().exists());
}

#[test]
fn a_process_has_died_unless_it_says_otherwise() {
    let directory = tempdir().expect("a directory");
    let place = place(&directory, "worker-w1");
    let (lock, own) = (place.lock().expect("free"), std::process::id());
    assert_eq!(place.end_of(own), End::Died);
    for how in [End::Done, End::Stopped] {
        place.note_end(how);
        assert_eq!((place.end_of(own), place.end_of(own + 1)), (how, End::Died));
    }
    drop(lock);
    assert_eq!(place.end_of(own), End::Stopped);
    // Another one may have the number.
    let _lock = place.lock().expect("free");
    assert_eq!(place.end_of(own), End::Died);
}

#[test]
fn what_a_killed_node_has_left_is_in_nobodys_way() {
    let directory = tempdir().expect("a directory");
    let place = place(&directory, "worker-w1");
    place.prepare().expect("a place");
    fs::write(place.pid(), "1\n").expect("written");
    drop(UnixListener::bind(place.directory().join("control")).expect("a socket"));
    assert!(matches!(place.holder(), Ok(None)));
    let lock = place.lock().expect("free");
    let _listener = lock.listen().expect("a socket");
}

#[test]
fn a_path_may_be_longer_than_a_socket_can_say() {
    let directory = tempdir().expect("a directory");
    let place = place(&directory, &"x".repeat(200));
    let lock = place.lock().expect("free");
    let _listener = lock.listen().expect("a socket");
    let (path, kept) = place.socket().expect("a path");
    assert!(kept.is_some());
    std::os::unix::net::UnixStream::connect(path).expect("somebody listens");
}

#[test]
fn what_others_can_get_at_is_refused() {
    let directory = tempdir().expect("a directory");
    let place = place(&directory, "worker-w1");
    place.prepare().expect("a place");
    for bits in [0o755, 0o770, 0o701] {
        fs::set_permissions(place.directory(), Permissions::from_mode(bits)).expect("permissions");
        let said = place.lock().expect_err("it is open").to_string();
        assert!(said.contains(&format!("(mode {bits:04o}); do `chmod 700 ")), "{said}");
    }
    fs::remove_dir(place.directory()).expect("removed");
    std::os::unix::fs::symlink("/tmp", place.directory()).expect("a link");
    let error = place.lock().expect_err("it leads elsewhere");
    assert!(matches!(error, DaemonError::Unfit { .. }), "{error}");
    assert_eq!(error.status(), 5);
}
