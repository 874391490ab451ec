//! temporary
use skitter::id::*;
use skitter::net::*;
use skitter::node::*;
use skitter::prelude::*;
use std::sync::Arc;
struct Cat;
impl Catalog for Cat {
    fn build(&self, name: &str, arguments: &[String]) -> Result<Workflow> {
        let w = WorkflowBuilder::new();
        match name {
            "hello" => {
                w.source(StreamSource::new(|| ["Hello Skitter", "Hello World!"].into_iter().map(str::to_owned)))
                    .flat_map(|l: String| l.split(' ').map(str::to_owned).collect::<Vec<_>>())
                    .keyed_reduce(String::clone, 0u64, |c, w| {
                        *c += 1;
                        (w, *c)
                    })
                    .print();
            }
            "sum" => {
                let n: u64 = arguments[0].parse().unwrap();
                w.source(skitter::operations::Numbers::new(0..n))
                    .map(|n| (n % 100_000, n))
                    .keyed_reduce(
                        |r: &(u64, u64)| r.0,
                        0u64,
                        |c, r| {
                            *c += r.1;
                            *c
                        },
                    )
                    .discard();
            }
            "words" => {
                w.source(TextFiles::new([&arguments[0]]))
                    .words::<skitter::Word>()
                    .keyed_reduce(Clone::clone, 0u64, |c, _w| {
                        *c += 1;
                        *c
                    })
                    .discard();
            }
            _ => return Err("no".into()),
        }
        w.build()
    }
}
fn main() {
    skitter::telemetry::install(skitter::telemetry::Level::Info, skitter::telemetry::Format::Text, |l| {
        use std::io::Write;
        let _ = std::io::stderr().write_all(l.as_bytes());
    });
    let a: Vec<String> = std::env::args().skip(1).collect();
    let mut signals = Signals::listen(|_| {}).unwrap();
    let name = NodeName::new(a[1].clone(), "localhost").unwrap();
    let mut rt = skitter::runtime::Settings::default();
    rt.cores = 1;
    rt.threads = 1;
    let s = NodeSettings {
        name,
        tags: vec![],
        listen: "0.0.0.0:0".parse().unwrap(),
        mapper_port: 14370,
        cookie: Cookie::new("secretsecret").unwrap(),
        build: Fingerprint([1; 32]),
        runtime: rt,
        transport: Arc::new(Tcp),
    };
    let r = if a[0] == "worker" {
        worker::run(s, Arc::new(Cat), worker::WorkerOptions { master: None, stay: a.len() > 2 }, &mut signals)
    } else {
        master::run(
            s,
            Arc::new(Cat),
            master::MasterOptions {
                workers: a[2].split(',').map(|w| NodeAddress::parse(w, "w").unwrap()).collect(),
                deploy: Some((a[3].clone(), a[4..].to_vec())),
                stop_with_workers: false,
            },
            &mut signals,
            None,
        )
    };
    let _ = {
        use std::io::Write;
        writeln!(std::io::stderr(), "{r:?}")
    };
}
