//! Workflows that are deployed on nodes that run.

use super::home::Home;
use crate::support::eventually;

/// A master without a workflow, and a worker.
fn cluster() -> Home {
    let home = Home::faulty();
    home.say(["worker", "daemon", "-n", "w1"]).expect(0);
    home.say(["master", "daemon", "--no-deploy", "w1@localhost"]).expect(0);
    home
}

fn phases(home: &Home, mode: &str) -> Vec<String> {
    let list = home.json(&[mode, "deployments"]);
    let show = |one: &serde_json::Value| format!("{} {} {}", one["id"], one["name"], one["phase"]).replace('"', "");
    list.as_array().expect("a list").iter().map(show).collect()
}

#[test]
fn workflows_are_deployed_and_stopped_beside_each_other() {
    let home = cluster();
    let nodes = home.json(&["master", "nodes"]);
    assert_eq!((&nodes[0]["name"], &nodes[0]["mode"]), (&"w1@localhost".into(), &"worker".into()));
    let ended = home.say(["master", "deploy", "everywhere"]).expect(0);
    assert!(ended.stdout.starts_with("deployed 1, `everywhere`, running after "), "{ended:?}");
    let second = home.json(&["master", "deploy", "everywhere"]);
    assert_eq!((&second["id"], &second["phase"]), (&2.into(), &"running".into()));
    assert_eq!(phases(&home, "master"), ["1 everywhere running", "2 everywhere running"]);
    let status = home.json(&["worker", "status", "-n", "w1"]);
    assert_eq!(
        (&status["peers"][0]["mode"], &status["deployments"][1]["name"]),
        (&"master".into(), &"everywhere".into())
    );

    // What fails is said to who asked for it, and nobody else is concerned.
    let ended = home.say(["master", "deploy", "fails"]).expect(2);
    assert!(ended.stderr.contains("workflow `fails`: ") && ended.stderr.contains("twin"), "{ended:?}");
    let ended = home.say(["master", "deploy", "panics-early"]).expect(2);
    assert!(ended.stderr.contains("cannot build this"), "{ended:?}");
    let ended = home.say(["master", "deploy", "slow", "--", "--input", "none"]).expect(1);
    assert!(ended.stderr.contains("workflow `slow` failed: ") && ended.stderr.contains("w1@localhost"), "{ended:?}");
    let ended = home.say(["master", "deploy", "ecerywhere"]).expect(2);
    assert!(ended.stderr.contains("did you mean `everywhere`?"), "{ended:?}");
    let ended = home.say(["master", "deploy", "slow", "--", "--inptu", "x"]).expect(2);
    assert!(ended.stderr.contains("'--inptu'"), "{ended:?}");
    home.logs("master-skitter_master", "Workflow `slow` failed: ");

    let workers = home.json(&["master", "workers", "2"]);
    let workers = workers.as_array().expect("a list");
    assert!(workers.iter().all(|worker| worker["deployment"] == 2 && worker["node"] == "w1@localhost"), "{workers:?}");
    let all = home.json(&["master", "workers"]);
    assert_eq!(all.as_array().map(Vec::len), Some(2 * workers.len()));
    let dot = home.say(["master", "graph", "1"]).expect(0).stdout;
    assert!(dot.starts_with("digraph"), "{dot}");

    let ended = home.say(["master", "undeploy", "1"]).expect(0);
    assert!(ended.stdout.starts_with("deployment 1, `everywhere`, stopped after "), "{ended:?}");
    assert_eq!(phases(&home, "master"), ["2 everywhere running", "1 everywhere stopped", "3 slow failed"]);
    let ended = home.say(["master", "undeploy", "1"]).expect(2);
    assert!(ended.stderr.starts_with("error: deployment 1, `everywhere`, has ended: stopped\n"), "{ended:?}");
    let ended = home.say(["master", "graph", "9"]).expect(2);
    assert!(ended.stderr.starts_with("error: there is no deployment 9 here (there is 2)\n"), "{ended:?}");
    let ended = home.say(["worker", "stop", "-n", "w1", "--timeout", "20"]).expect(0);
    assert!(ended.stdout.ends_with("has stopped\n"), "{ended:?}");
    // The deployment that had a part there has failed; the master stays.
    eventually("nothing failed", || phases(&home, "master").iter().any(|phase| phase == "2 everywhere failed"));
    home.say(["master", "status"]).expect(0);
    home.say(["master", "stop"]).expect(0);
    home.nobody_is_left();
}

#[test]
fn a_node_ends_with_what_it_was_started_with() {
    let home = Home::faulty();
    std::fs::write(home.path().join("lines"), "line\n".repeat(200)).expect("written");
    home.say(["local", "daemon", "-d", "slow", "--", "--input", "lines"]).expect(0);
    home.say(["local", "deploy", "ticks"]).expect(0);
    assert_eq!(phases(&home, "local"), ["1 slow running", "2 ticks running"]);
    home.nobody_is_left();
    let log = home.log("local-skitter_local");
    let at = |text: &str| log.find(text).unwrap_or_else(|| panic!("`{text}` is not in {log}"));
    assert!(at("Completed `slow`: ") < at("Stopped `ticks`: "), "{log}");
}

#[test]
fn a_node_that_stops_drains_everything() {
    let home = Home::faulty();
    home.say(["local", "daemon", "--no-deploy"]).expect(0);
    home.say(["local", "deploy", "everywhere"]).expect(0);
    home.say(["local", "deploy", "everywhere"]).expect(0);
    home.say(["local", "stop"]).expect(0);
    let log = home.log("local-skitter_local");
    assert_eq!(log.matches("Stopped `everywhere`: ").count(), 2, "{log}");
}

#[test]
fn what_does_not_end_is_said() {
    let home = Home::faulty();
    home.say(["local", "daemon", "--no-deploy"]).expect(0);
    home.say(["local", "deploy", "hangs"]).expect(0);
    home.logs("local-skitter_local", "hanging");
    let ended = home.say(["local", "undeploy", "1", "--timeout", "200ms"]).expect(1);
    let said = "deployment 1 has been told to stop, and still waits for vertex `stubborn`, worker ";
    assert!(ended.stderr.contains(said), "{ended:?}");
    home.say(["local", "status"]).expect(0);
}

#[test]
fn a_master_is_up_when_its_workflow_runs() {
    let home = Home::faulty();
    home.say(["worker", "daemon", "-n", "w1"]).expect(0);
    home.say(["master", "daemon", "-d", "everywhere", "w1@localhost"]).expect(0);
    assert_eq!(phases(&home, "master"), ["1 everywhere running"]);
    // That one is what the master is there for.
    home.say(["master", "undeploy", "1"]).expect(0);
    home.nobody_is_left();
}
