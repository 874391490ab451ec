//! PostgreSQL.

use std::convert::Infallible;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Signal, geteuid};
use serde::{Deserialize, Serialize};
use skitter::connectors::{PostgresQuery, PostgresSink};
use skitter::operations::{Collected, Paced};
use skitter::prelude::*;

use crate::fault::{House, ended, fates_of_a_zombie};
use crate::server::{Server, eventually, free_port};

const COUNT: u64 = 3000;

/// A program of PostgreSQL, of the newest version that is there. The server refuses to run as root.
fn program(name: &str) -> Command {
    let versions = glob::glob("/usr/lib/postgresql/*/bin").expect("a pattern").filter_map(Result::ok);
    let path = versions.max().map_or_else(|| PathBuf::from(name), |directory| directory.join(name));
    if !geteuid().is_root() {
        return Command::new(path);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(path);
    command
}

fn server() -> Server {
    let directory = tempfile::tempdir().expect("a directory");
    if geteuid().is_root() {
        let owned = Command::new("chown").arg("postgres").arg(directory.path()).status().expect("chown");
        assert!(owned.success());
    }
    let data = directory.path().join("data");
    let mut initdb = program("initdb");
    initdb.args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "-D"]).arg(&data);
    let made = initdb.current_dir(directory.path()).output().expect("initdb: scripts/setup");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    // As in a crash: the processes of the server end at once.
    Server::start_in(directory, Signal::QUIT, |port, directory| {
        let mut command = program("postgres");
        command.current_dir(directory.path()).arg("-D").arg(directory.path().join("data"));
        command.args(["-p", &port.to_string(), "-h", "127.0.0.1", "-c", "unix_socket_directories="]);
        command
    })
}

fn url(server: &Server) -> String {
    format!("postgres://postgres@127.0.0.1:{}/postgres", server.port)
}

/// What a statement gives: a line for each row.
fn sql(server: &Server, statement: &str) -> Vec<String> {
    let mut answer = None;
    eventually("the server does not answer", || {
        let mut psql = program("psql");
        psql.current_dir("/").args(["-X", "-At", "-v", "ON_ERROR_STOP=1", "-c", statement]).arg(url(server));
        let output = psql.output().expect("psql");
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!complaint.contains("ERROR"), "{complaint}");
        answer = output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned());
        answer.is_some()
    });
    answer.expect("just given").lines().map(str::to_owned).collect()
}

fn number(server: &Server, statement: &str) -> u64 {
    sql(server, statement).first().and_then(|line| line.parse().ok()).expect("a number")
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    id: i64,
    customer: String,
    at: String,
    price: Option<f64>,
}

const ORDERS: &str = "CREATE TABLE orders (id bigint PRIMARY KEY, customer text, at timestamptz, price numeric)";
const QUERY: &str = "SELECT id, customer, at, price FROM orders";

fn lines(path: &std::path::Path) -> Vec<u64> {
    let text = std::fs::read_to_string(path).expect("a file");
    let mut numbers: Vec<u64> = text.lines().map(|line| line.parse().expect("a number")).collect();
    numbers.sort_unstable();
    numbers
}

fn fill(server: &Server, from: u64, to: u64) {
    let rows = format!("SELECT n, 'c' || n, now(), n / 2.0 FROM generate_series({from}, {to} - 1) AS n");
    sql(server, &format!("INSERT INTO orders {rows}"));
}

#[test]
fn each_row_counts_once_although_an_operation_panics() {
    let (server, house) = (server(), House::new());
    sql(&server, ORDERS);
    fill(&server, 0, COUNT);
    // Each kind of key goes on where it was.
    for key in ["id", "customer", "at"] {
        let query = match key {
            "at" => "SELECT id, customer, at + id * interval '1 microsecond' AS at, price FROM orders",
            _ => QUERY,
        };
        let (fault, workflow, path) = (house.fault(), WorkflowBuilder::new(), house.at(key));
        let once = fault.clone();
        workflow
            .source(Paced::new(PostgresQuery::new(url(&server), query, key), 6000))
            .map(move |order: Order| {
                once.pass(COUNT / 2);
                order.id
            })
            .write_tsv(&path);
        house.run(workflow).expect("it goes on");
        assert!(fault.has_failed());
        assert!(lines(&path) == (0..COUNT).collect::<Vec<_>>(), "by {key}");
    }
}

#[test]
fn rows_are_read_as_they_come_although_the_server_dies() {
    let (mut server, house) = (server(), House::new());
    sql(&server, ORDERS);
    fill(&server, 0, 10);
    let (sender, seen) = std::sync::mpsc::sync_channel(10_000);
    let workflow = WorkflowBuilder::new();
    let source = PostgresQuery::new(url(&server), QUERY, "id").poll_every(Duration::from_millis(10));
    workflow.source(source).map(|order: Order| order.id).send(sender);
    let deployment = house.deploy(workflow);
    let take = |count| seen.iter().take(count).collect::<Vec<i64>>();
    assert_eq!(take(10), (0..10).collect::<Vec<_>>());
    server.kill();
    server.up();
    fill(&server, 10, 2500);
    assert_eq!(take(2490), (10..2500).collect::<Vec<_>>(), "none twice, none lost");
    deployment.stop();
    ended(&deployment).expect("it stops");
}

#[test]
fn rows_of_one_key_are_on_one_page_and_those_without_are_left_out() {
    let (server, house) = (server(), House::new());
    sql(&server, "CREATE TABLE t (k int, v int)");
    sql(&server, "INSERT INTO t SELECT n / 1500, n FROM generate_series(0, 2999) AS n");
    sql(&server, "INSERT INTO t VALUES (NULL, 1)");
    let (collected, workflow) = (Collected::new(), WorkflowBuilder::new());
    let query = PostgresQuery::<std::collections::BTreeMap<String, u64>>::new(url(&server), "SELECT * FROM t", "k");
    workflow.source(query).map(|row| row["v"]).collect(&collected);
    house.run(workflow).expect("rows");
    let mut found = collected.take();
    found.sort_unstable();
    assert!(found == (0..3000).collect::<Vec<_>>());
}

#[test]
fn what_is_wrong_with_a_query_is_named() {
    let (server, house) = (server(), House::new());
    sql(&server, ORDERS);
    fill(&server, 0, 10);
    let run = |url: String, query: &str, key: &str| {
        let workflow = WorkflowBuilder::new();
        workflow.source(PostgresQuery::<(u64, u64)>::new(url, query, key)).discard();
        house.run(workflow).expect_err("it is refused").to_string()
    };
    let error = run(url(&server), "SELECT id FROM nothing", "id");
    assert!(error.contains("cannot prepare the query: relation \"nothing\" does not exist"), "{error}");
    let error = run(url(&server), QUERY, "no");
    assert!(error.contains("column page.no does not exist"), "{error}");
    let error = run(url(&server), QUERY, "id");
    assert!(error.contains("that of key `0` does not fit the record"), "{error}");
    let error = run(url(&server).replace("postgres@", "nobody:hunter2@"), QUERY, "id");
    assert!(error.contains("role \"nobody\" does not exist") && !error.contains("hunter2"), "{error}");
    let port = free_port();
    let error = run(format!("postgres://me:hunter2@127.0.0.1:{port}/x"), QUERY, "id");
    let expected = format!("cannot reach PostgreSQL at `postgres://me:***@127.0.0.1:{port}/x`");
    assert!(error.contains(&expected) && error.contains("is it running") && !error.contains("hunter2"), "{error}");
}

/// Numbers at a pace, with a panic in the middle, into a sink.
fn through<S: React<In = (u64, u64), Out = Infallible>>(house: &House, sink: S) {
    let (fault, workflow) = (house.fault(), WorkflowBuilder::new());
    let once = fault.clone();
    workflow
        .source(Paced::new(StreamSource::new(|| 0..COUNT), 3000))
        .map(move |n| {
            once.pass(COUNT / 2);
            (n % 1000, n)
        })
        .sink(sink, Sedentary);
    house.run(workflow).expect("it goes on");
    assert!(fault.has_failed());
}

const PAIRS: &str = "CREATE TABLE pairs (k int, v bigint)";
const UNIQUE: &str = "CREATE UNIQUE INDEX ON pairs (k)";
/// How many values there are, and how many different ones.
const VALUES: &str = "SELECT count(*) || ' ' || count(DISTINCT v) FROM pairs";

#[test]
fn each_record_is_a_row_once() {
    let (server, house) = (server(), House::new());
    sql(&server, PAIRS);
    through(&house, PostgresSink::insert(url(&server), "pairs", ["k", "v"]).exactly_once());
    assert_eq!(sql(&server, VALUES), ["3000 3000"]);
    assert_eq!(number(&server, "SELECT count(*) FROM skitter_aside"), 0, "nothing is left aside");
}

#[test]
fn each_record_is_a_row_once_although_the_server_dies() {
    let (mut server, house) = (server(), House::new());
    sql(&server, "CREATE SCHEMA shop; CREATE TABLE shop.pairs (k int, v bigint)");
    let workflow = WorkflowBuilder::new();
    let sink = PostgresSink::insert(url(&server), "shop.pairs", ["v"]).exactly_once();
    workflow.source(Paced::new(StreamSource::new(|| 0..COUNT), 3000)).sink(sink, Sedentary);
    let deployment = house.deploy(workflow);
    eventually("no row appears", || number(&server, "SELECT count(*) FROM shop.pairs") > 100);
    for _ in 0..2 {
        server.kill();
        server.up();
    }
    ended(&deployment).expect("it waits for the server");
    assert_eq!(sql(&server, &VALUES.replace("pairs", "shop.pairs")), ["3000 3000"]);
}

#[test]
fn a_worker_that_was_taken_for_dead_writes_nothing_twice() {
    let server = server();
    sql(&server, PAIRS);
    let mut sink = PostgresSink::insert(url(&server), "pairs", ["k", "v"]).exactly_once();
    sink.conf().expect("a table");
    fates_of_a_zombie(&sink, || number(&server, "SELECT count(*) FROM pairs"));
    assert_eq!(sql(&server, VALUES), ["3 3"]);
}

#[test]
fn each_key_has_its_last_row() {
    for exactly_once in [false, true] {
        let (server, house) = (server(), House::new());
        sql(&server, PAIRS);
        sql(&server, UNIQUE);
        let sink = PostgresSink::upsert(url(&server), "pairs", ["k"], ["k", "v"]);
        through(&house, if exactly_once { sink.exactly_once() } else { sink });
        let wrong = "SELECT count(*) FROM pairs WHERE v <> k + 2000";
        assert_eq!((number(&server, wrong), number(&server, "SELECT count(*) FROM pairs")), (0, 1000));
    }
}

#[test]
fn without_exactly_once_no_record_is_lost() {
    let (server, house) = (server(), House::new());
    sql(&server, PAIRS);
    through(&house, PostgresSink::insert(url(&server), "pairs", ["k", "v"]));
    assert_eq!(number(&server, "SELECT count(DISTINCT v) FROM pairs"), COUNT);
}

#[test]
fn values_become_what_their_columns_are() {
    let (server, house) = (server(), House::new());
    sql(&server, ORDERS);
    let order =
        |id, price| Order { id, customer: "O'Neill \"x\"".to_owned(), at: "2026-01-02T03:04:05Z".to_owned(), price };
    let orders = vec![order(1, Some(1.25)), order(2, None), order(3, Some(f64::NAN))];
    let workflow = WorkflowBuilder::new();
    let sink = PostgresSink::insert(url(&server), "orders", ["id", "customer", "at", "price"]);
    workflow.source(StreamSource::new(move || orders.clone())).sink(sink, Sedentary);
    house.run(workflow).expect("rows");
    let rows = sql(&server, "SELECT id, customer, extract(epoch FROM at), price FROM orders ORDER BY id");
    let expected = |id, price| format!("{id}|O'Neill \"x\"|1767323045.000000|{price}");
    assert_eq!(rows, [expected(1, "1.25"), expected(2, ""), expected(3, "")]);
}

#[test]
fn what_is_wrong_with_a_sink_is_named() {
    let (server, house) = (server(), House::new());
    sql(&server, PAIRS);
    let run = |sink: PostgresSink<(String, u64)>| {
        let workflow = WorkflowBuilder::new();
        workflow.source(StreamSource::new(|| [("x".to_owned(), 1u64)])).sink(sink, Sedentary);
        house.run(workflow).expect_err("it is refused").to_string()
    };
    let error = run(PostgresSink::insert(url(&server), "nothing", ["k", "v"]));
    assert!(error.contains("cannot write to table `nothing`: relation \"nothing\" does not exist"), "{error}");
    let error = run(PostgresSink::upsert(url(&server), "pairs", ["k"], ["k", "v"]));
    assert!(error.contains("no unique or exclusion constraint"), "{error}");
    for sink in [PostgresSink::insert(url(&server), "pairs", ["k", "v"]), {
        PostgresSink::insert(url(&server), "pairs", ["k", "v"]).exactly_once()
    }] {
        let error = run(sink);
        assert!(error.contains("invalid input syntax for type integer: \"x\""), "{error}");
    }
    assert_eq!(number(&server, "SELECT count(*) FROM pairs"), 0);
}

#[test]
fn a_server_elsewhere_is_spoken_to_by_tls() {
    let (server, house) = (server(), House::new());
    let workflow = WorkflowBuilder::new();
    // It has none, so nothing is said to it.
    workflow
        .source(PostgresQuery::<(u64,)>::new(format!("{}?sslmode=require", url(&server)), "SELECT 1 AS a", "a"))
        .discard();
    let error = house.run(workflow).expect_err("no TLS").to_string();
    assert!(error.contains("server does not support TLS"), "{error}");
}
