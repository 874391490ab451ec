//! Drawings, compared with what they have to be, character for character.

use crate::operations::{Accept, Reject, StreamSource};
use crate::strategies::RoundRobin;
use crate::workflow::{Workflow, WorkflowBuilder};

/// Two ports, a nested workflow with a source of its own, a port on each side that stays open, a parallelism.
fn workflow() -> Workflow {
    let inner = WorkflowBuilder::new();
    let doubled = inner.input::<u64>("numbers").map(|n| n * 2).with(RoundRobin).parallelism(4);
    inner.output("doubled", doubled);
    inner.source(StreamSource::new(|| 0..2u64)).discard();

    let outer = WorkflowBuilder::new();
    let nested = outer.nest("twice", inner.build().expect("a valid inner workflow"));
    let ports = outer.source(StreamSource::new(|| 0..9u64)).filter(|n| n % 2 == 0).named("even").ports();
    nested.input("numbers", ports.stream(Reject));
    nested.input("numbers", outer.input::<u64>("more"));
    outer.output("all", nested.output::<u64>("doubled"));
    ports.stream(Accept).discard();
    outer.build().expect("a valid workflow")
}

#[test]
fn dot_shows_ports_frames_and_open_ports() {
    let expected = r##"digraph workflow {
  graph [rankdir=LR, style=rounded, color="#8888a0", fontname="Helvetica", fontsize=11];
  node [shape=box, style=rounded, fontname="Helvetica", fontsize=11];
  edge [arrowsize=0.7];
  subgraph cluster_0 {
    label="twice";
    v0 [shape=ellipse, style=solid, label="numbers", tooltip="u64"];
    v1 [label="map\nmap\nround robin × 4", tooltip="u64 → u64"];
    v2 [shape=ellipse, style=solid, label="doubled", tooltip="u64"];
    v3 [label="stream source\nstream source\nstream source", tooltip="u64"];
  }
  v4 [label="stream source\nstream source\nstream source", tooltip="u64"];
  v5 [shape=Mrecord, label="{{<i0> in}|even\nfilter\nchained|{<o0> accept|<o1> reject}}", tooltip="u64 → FILTERED"];
  v6 [shape=ellipse, style=dashed, label="more", tooltip="u64"];
  v7 [shape=ellipse, style=dashed, label="all", tooltip="u64"];
  v0 -> v1;
  v1 -> v2 [style=dashed];
  v4 -> v5:i0:w [style=dashed];
  v5:o1:e -> v0 [style=dashed];
  v6 -> v0 [style=dashed];
  v2 -> v7 [style=dashed];
}
"##;
    let expected = expected.replace("FILTERED", "skitter::operations::filter::Filtered<u64>");
    assert_eq!(workflow().to_dot(), expected);
}

#[test]
fn json_has_each_field_in_its_place() {
    let workflow = workflow();
    let json = workflow.to_json();
    let read: serde_json::Value = serde_json::from_str(&json).expect("valid JSON");
    assert_eq!(read["format"], 1);
    assert_eq!(read["fingerprint"], format!("{:016x}", workflow.fingerprint()));
    assert_eq!(read["links"].as_array().map(Vec::len), Some(6));
    let vertex = r#"    {
      "id": 5,
      "name": "even",
      "kind": "operation",
      "operation": "filter",
      "strategy": "chained",
      "parallelism": null,
      "workers": false,
      "nest": [],
      "in_ports": [
        "in"
      ],
      "out_ports": [
        "accept",
        "reject"
      ],
      "takes": "u64",
      "gives": "skitter::operations::filter::Filtered<u64>"
    },
"#;
    assert!(json.contains(vertex), "{json}");
    let link = r#"    {
      "from": {
        "vertex": 5,
        "port": "reject"
      },
      "to": {
        "vertex": 0,
        "port": "in"
      }
    },
"#;
    assert!(json.contains(link), "{json}");
    let ports = r#"  "open_ports": {
    "in": [
      {
        "name": "more",
        "vertex": 6,
        "record": "u64"
      }
    ],
    "out": [
      {
        "name": "all",
        "vertex": 7,
        "record": "u64"
      }
    ]
  }
}"#;
    assert!(json.ends_with(ports), "{json}");
    assert_eq!(read["vertices"][0]["kind"], "in_port");
    assert_eq!(read["vertices"][0]["strategy"], serde_json::Value::Null);
    assert_eq!(read["vertices"][1]["nest"], serde_json::json!(["twice"]));
    assert_eq!(read["vertices"][1]["parallelism"], 4);
}

#[test]
fn equal_workflows_give_equal_drawings() {
    assert_eq!(workflow().to_dot(), workflow().to_dot());
    assert_eq!(workflow().to_json(), workflow().to_json());
}

#[test]
fn names_are_escaped() {
    let names = ["a \"b\" \\ {c|<d>} & e\nf\tg\u{7f} ü ⬡", "2 \"b\" \\ {c|<d>} & e\nf\tg\u{7f} ü ⬡"];
    let builder = WorkflowBuilder::new();
    let source = builder.source(StreamSource::new(|| 0..9u64)).named(names[0]);
    source.filter(|_| true).named(names[1]).ports().stream(Accept).discard();
    let workflow = builder.build().expect("a valid workflow");
    let dot = workflow.to_dot();
    assert!(dot.contains(r#"v0 [label="a \"b\" \\ {c|<d>} &amp; e\nf␉g� ü ⬡\nstream"#), "{dot}");
    assert!(dot.contains(r#"|2\ \"b\"\ \\\ \{c\|\<d\>\}\ &amp;\ e\nf␉g�\ ü\ ⬡\nfilter"#), "{dot}");
    let json: serde_json::Value = serde_json::from_str(&workflow.to_json()).expect("valid JSON");
    assert_eq!(json["vertices"][0]["name"], names[0]);
}
