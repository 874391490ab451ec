//! What nodes answer, for people and for programs.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::daemon::Place;
use crate::node::console::wire::{DeploymentInfo, NodeStatus, PeerStatus, Reply, WorkerInfo, WorkflowInfo};

/// Characters of a fingerprint that people compare.
const SHORT: usize = 16;

/// What stands between two columns.
const GAP: &str = "  ";

/// An answer for people.
pub fn reply(reply: &Reply) -> String {
    match reply {
        Reply::Pong { pid, up } => format!("process {pid}, {}\n", if *up { "up" } else { "starting" }),
        Reply::Status(status) => body(status),
        Reply::Stopping => "it stops\n".to_owned(),
        Reply::Nodes { nodes } if nodes.is_empty() => "no other nodes\n".to_owned(),
        Reply::Nodes { nodes } => peers(nodes),
        Reply::Workflows { workflows } => {
            let row = |workflow: &WorkflowInfo| vec![workflow.name.clone(), workflow.description.clone()];
            table(&[], workflows.iter().map(row))
        }
        Reply::Deployments { deployments } if deployments.is_empty() => "no deployments\n".to_owned(),
        Reply::Deployments { deployments: list } => deployments(list),
        Reply::Deployed { deployment } => format!("deployed {}\n", one(deployment)),
        Reply::Undeployed { deployment } => format!("deployment {}\n", one(deployment)),
        Reply::Saved { savepoint } => format!("{savepoint}\n"),
        Reply::Workers { workers } if workers.is_empty() => "no workers\n".to_owned(),
        Reply::Workers { workers: list } => workers(list),
        Reply::Graph { dot } => dot.clone(),
        Reply::Log { level } => format!("the level of the log is now {}\n", format!("{level:?}").to_lowercase()),
        // What is left is a secret, a fault, which is reported otherwise, or unknown.
        _ => String::new(),
    }
}

/// An answer for programs: the list, or the object, that it is about.
pub fn json(reply: &Reply) -> String {
    let value = match reply {
        Reply::Nodes { nodes } => json!(nodes),
        Reply::Workflows { workflows } => json!(workflows),
        Reply::Deployments { deployments } => json!(deployments),
        Reply::Deployed { deployment } | Reply::Undeployed { deployment } => json!(deployment),
        Reply::Workers { workers } => json!(workers),
        other => json!(other),
    };
    format!("{value:#}\n")
}

/// How a node stands, for people.
pub fn status(status: &NodeStatus, place: &Place) -> String {
    let mut text = body(status);
    // A node in a terminal has none.
    if place.log().exists() {
        let at = text.find("\n\n").map_or(text.len(), |end| end + 1);
        text.insert_str(at, &format!("log      {}\n", place.log().display()));
    }
    text
}

/// How a node stands, for programs.
pub fn status_json(status: &NodeStatus, place: &Place) -> String {
    let mut value = json!(status);
    if let Value::Object(fields) = &mut value {
        fields.insert("running".to_owned(), true.into());
        fields.extend(paths(place));
    }
    format!("{value:#}\n")
}

/// That none runs, for programs.
pub fn no_status(place: &Place) -> String {
    let mut fields = paths(place);
    fields.insert("running".to_owned(), false.into());
    format!("{:#}\n", Value::Object(fields))
}

fn paths(place: &Place) -> serde_json::Map<String, Value> {
    let log = place.log();
    let log = log.exists().then(|| log.to_string_lossy().into_owned());
    let mut fields = serde_json::Map::new();
    fields.insert("state".to_owned(), place.directory().to_string_lossy().into());
    fields.insert("log".to_owned(), json!(log));
    fields
}

fn body(status: &NodeStatus) -> String {
    let NodeStatus { mode, name, address, pid, version, build, uptime_ms, cores, tags, .. } = status;
    let mut rows = vec![
        ("name", name.clone()),
        ("mode", mode.clone()),
        ("process", pid.to_string()),
        ("up for", duration(*uptime_ms)),
    ];
    rows.extend(address.iter().map(|address| ("address", address.clone())));
    let build = build.as_deref().map(|build| format!(", build {}", build.get(..SHORT).unwrap_or(build)));
    rows.push(("version", format!("{version}{}", build.unwrap_or_default())));
    rows.push(("cores", cores.to_string()));
    if !tags.is_empty() {
        rows.push(("tags", tags.join(", ")));
    }
    if status.stopping {
        rows.push(("state", "stopping".to_owned()));
    }
    let mut text = table(&[], rows.into_iter().map(|(label, value)| vec![label.to_owned(), value]));
    if !status.peers.is_empty() {
        text.push('\n');
        text.push_str(&peers(&status.peers));
    }
    if !status.deployments.is_empty() {
        text.push('\n');
        text.push_str(&deployments(&status.deployments));
    }
    text
}

fn peers(peers: &[PeerStatus]) -> String {
    let row = |peer: &PeerStatus| {
        vec![
            peer.name.clone(),
            peer.mode.clone(),
            peer.address.clone(),
            peer.cores.to_string(),
            format!("{:.1} GiB", peer.memory as f64 / f64::from(1 << 30)),
            peer.tags.join(", "),
        ]
    };
    table(&["NODE", "MODE", "ADDRESS", "CORES", "MEMORY", "TAGS"], peers.iter().map(row))
}

fn deployments(deployments: &[DeploymentInfo]) -> String {
    let row = |deployment: &DeploymentInfo| {
        let read = deployment.progress.map(|share| format!("{:.0} %", share * 100.0));
        let head = vec![
            deployment.id.to_string(),
            deployment.name.clone(),
            deployment.phase.clone(),
            duration(deployment.elapsed_ms),
            read.unwrap_or_default(),
        ];
        let cause = deployment.error.iter().map(|cause| vec![String::new(), first_line(cause).to_owned()]);
        let vertices = deployment.vertices.iter().map(|vertex| {
            let workers = if vertex.workers == 1 { "worker" } else { "workers" };
            vec![
                String::new(),
                format!("  {}", vertex.name),
                format!("{} {workers}", vertex.workers),
                format!("{} -> {}", vertex.received, vertex.emitted),
            ]
        });
        std::iter::once(head).chain(cause).chain(vertices).collect::<Vec<_>>()
    };
    table(&["ID", "WORKFLOW", "PHASE", "TIME", "READ"], deployments.iter().flat_map(row))
}

fn workers(workers: &[WorkerInfo]) -> String {
    let row = |worker: &WorkerInfo| {
        vec![
            worker.deployment.to_string(),
            worker.vertex.clone(),
            worker.index.to_string(),
            worker.node.clone(),
            worker.received.to_string(),
            worker.emitted.to_string(),
        ]
    };
    table(&["ID", "VERTEX", "WORKER", "NODE", "IN", "OUT"], workers.iter().map(row))
}

/// One deployment in a line.
fn one(deployment: &DeploymentInfo) -> String {
    let DeploymentInfo { id, name, phase, elapsed_ms, vertices, .. } = deployment;
    let counts = vertices.iter().map(|vertex| format!("{} {} -> {}", vertex.name, vertex.received, vertex.emitted));
    let counts = counts.collect::<Vec<_>>().join(", ");
    let counts = if counts.is_empty() { counts } else { format!(": {counts}") };
    format!("{id}, `{name}`, {phase} after {}{counts}", duration(*elapsed_ms))
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// `350 ms`, `4.2 s`, `3 min 20 s`, `5 h 12 min`, `12 d 3 h`.
pub fn duration(milliseconds: u64) -> String {
    let time = Duration::from_millis(milliseconds);
    match time.as_secs() {
        0 => format!("{milliseconds} ms"),
        1..60 => format!("{:.1} s", time.as_secs_f64()),
        seconds @ 60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds @ 3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        seconds => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// Lines of columns that stand below each other. What others have named has no control characters left.
pub fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let head: Vec<String> = head.iter().map(|&title| title.to_owned()).collect();
    let rows: Vec<Vec<String>> = Some(head)
        .filter(|head| !head.is_empty())
        .into_iter()
        .chain(rows)
        .map(|row| row.iter().map(|cell| plain(cell)).collect())
        .collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        // The last one of a row may be as long as it is.
        let fixed = rows.iter().filter(|row| row.len() > column + 1);
        fixed.map(|row| row[column].chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:width$}{GAP}"));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A text that others have written, without control characters.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::console::wire::VertexInfo;

    fn deployment() -> DeploymentInfo {
        DeploymentInfo {
            id: 3,
            name: "wordcount".to_owned(),
            phase: "running".to_owned(),
            error: None,
            elapsed_ms: 4200,
            progress: Some(0.5),
            vertices: vec![VertexInfo { name: "count".to_owned(), workers: 2, received: 10, emitted: 9 }],
        }
    }

    #[test]
    fn deployments_are_a_table() {
        let failed = DeploymentInfo {
            id: 12,
            phase: "failed".to_owned(),
            error: Some("vertex `a`: no\nmore".to_owned()),
            vertices: Vec::new(),
            progress: None,
            ..deployment()
        };
        let text = reply(&Reply::Deployments { deployments: vec![deployment(), failed] });
        let expected = "\
ID  WORKFLOW   PHASE      TIME   READ
3   wordcount  running    4.2 s  50 %
      count    2 workers  10 -> 9
12  wordcount  failed     4.2 s
    vertex `a`: no
";
        assert_eq!(text, expected);
        assert_eq!(reply(&Reply::Deployments { deployments: Vec::new() }), "no deployments\n");
    }

    #[test]
    fn one_deployment_is_a_line() {
        let text = reply(&Reply::Deployed { deployment: deployment() });
        assert_eq!(text, "deployed 3, `wordcount`, running after 4.2 s: count 10 -> 9\n");
    }

    #[test]
    fn names_of_others_give_the_terminal_no_orders() {
        assert_eq!(table(&[], [vec!["a\x1b[2J\nb".to_owned()]]), "a\u{fffd}[2J\u{fffd}b\n");
    }

    #[test]
    fn times_are_short() {
        let shown: Vec<_> = [350, 4200, 200_000, 18_720_000, 1_047_600_000].map(duration).into_iter().collect();
        assert_eq!(shown, ["350 ms", "4.2 s", "3 min 20 s", "5 h 12 min", "12 d 3 h"]);
    }

    #[test]
    fn programs_get_what_it_is_about() {
        let value: Value =
            serde_json::from_str(&json(&Reply::Deployments { deployments: vec![deployment()] })).expect("JSON");
        assert_eq!((&value[0]["id"], &value[0]["vertices"][0]["received"]), (&3.into(), &10.into()));
        let place = Place::at("/nowhere".into(), "worker", "w1");
        let value: Value = serde_json::from_str(&no_status(&place)).expect("JSON");
        assert_eq!((&value["running"], &value["log"]), (&false.into(), &Value::Null));
    }
}
