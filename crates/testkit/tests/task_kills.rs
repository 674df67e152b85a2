//! `kill -9` of a service at random moments while it works on many tasks, and what must hold then.
//!
//! Each task runs commands that note their number in `runs.txt` when they begin and in `log.txt` when
//! they end, and patches. When the model is told that a result was lost, it only looks; what a kill
//! left undone is brought about by the steps at the end, which may be repeated at will.
//!
//! - No acknowledged task is lost, and all end with the right tree.
//! - No number stands twice in `runs.txt`: no command was run twice.
//! - A watcher that comes back with its cursor sees every record once, in order.
//! - Nothing of a killed service runs on.
//!
//! `RECTO_TEST_SCALE=8` makes it 200 tasks and 100 kills.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failed step fails the test"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use recto_testkit::{
    Home, Random, Repository, Script, Service, eventually, mounts_with, processes_with,
};
use serde_json::{Value, json};

const TASKS: usize = 25;
const KILLS: usize = 13;
const STEPS: u32 = 8;

fn scale() -> usize {
    let given = std::env::var("RECTO_TEST_SCALE").ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(1)
}

fn script() -> Script {
    let mut script = Script::new();
    for step in 1..=STEPS {
        script = if step.is_multiple_of(4) {
            script.patch(&format!(
                "*** Begin Patch\n*** Add File: p{step}/a\n+{step}\n*** End Patch\n"
            ))
        } else {
            let pause = f64::from(step % 3) / 20.0;
            script.exec(&format!(
                "echo {step} >> runs.txt; sleep {pause}; echo {step} >> log.txt; echo step {step}"
            ))
        };
    }
    let missing = format!(
        "for n in $(seq {STEPS}); do if [ $((n % 4)) = 0 ]; then mkdir -p p$n; echo $n > p$n/a; \
         else grep -qx $n log.txt || echo $n >> log.txt; fi; done; sort -no log.txt log.txt; \
         git add -A ':!runs.txt'; git commit -qm work; true"
    );
    for _ in 0..4 {
        script = script.exec(&missing);
    }
    script.reply(json!({"text": "done", "times": 4})).reply(
        json!({"match": "The worker stopped before", "events": [{"call": "exec_command",
            "arguments": {"cmd": "true"}}]}),
    )
}

/// A watcher that may lose its connection at any time.
#[derive(Default)]
struct Watcher {
    next: u64,
}

impl Watcher {
    /// Sees what there is until the stream ends, or the attempt does.
    fn watch(&mut self, service: &Service, attempt: &str) {
        for record in service.log_from(attempt, self.next) {
            assert_eq!(
                record["seq"], self.next,
                "a gap or a repetition in {attempt}"
            );
            self.next += 1;
        }
    }
}

#[test]
fn tasks_outlive_a_service_that_is_killed_at_random_moments() {
    let (tasks, kills) = (TASKS * scale(), KILLS * scale());
    let home = Home::new();
    let repo = Repository::new(&[("a.txt", "a\n"), (".gitignore", "runs.txt\n")]);
    let script = script();
    let mut random = Random::new();
    let mut service = Service::start(&home, &["--attempts", "8"]);
    service.add_repository(repo.path(), "repo");
    let spec = json!({"repository": "repo", "prompt": "count", "model": script.model()});
    let mut known: Vec<(String, Watcher)> = Vec::new();
    for kill in 0..kills {
        // Tasks come in all the time, each under a key, so that one that was not acknowledged may be
        // sent again.
        while known.len() * kills < tasks * (kill + 1) {
            let key = format!("task-{}", known.len());
            let task = json!({"spec": spec, "key": key});
            let made = service.request("POST", "/tasks", Some(&task));
            assert!(matches!(made.status, 200 | 201), "{}", made.text());
            let id = made.json()["id"].as_str().unwrap().to_owned();
            known.push((id, Watcher::default()));
        }
        std::thread::sleep(Duration::from_millis(random.below(1500)));
        let seen = usize::try_from(random.below(known.len() as u64)).unwrap();
        let (id, watcher) = &mut known[seen];
        watcher.watch(&service, &format!("{id}.1"));
        service.kill();
        let mark = home.path().to_str().unwrap();
        let is_gone = eventually(|| processes_with(&[mark]).is_empty());
        assert!(is_gone, "left behind: {:#?}", processes_with(&[mark]));
        assert_eq!(mounts_with(&[mark]), Vec::<String>::new());
        service = Service::start(&home, &["--attempts", "8"]);
    }
    let mut lost = 0;
    for (id, watcher) in &mut known {
        let task = service.wait(id);
        let attempt = &task["attempts"][0];
        assert_eq!(attempt["state"], "done", "{task:#}");
        watcher.watch(&service, attempt["id"].as_str().unwrap());
        assert_eq!(watcher.next, attempt["records"].as_u64().unwrap());
        lost += check(&home, &service, id);
    }
    let page = service.get("/tasks?limit=200");
    assert_eq!(page["tasks"].as_array().unwrap().len(), tasks.min(200));
    println!("{kills} kills, {tasks} tasks; {lost} results were lost and told so");
}

/// Checks one task that has ended, and counts the results that were lost on its way.
fn check(home: &Home, service: &Service, id: &str) -> usize {
    let attempt = format!("{id}.1");
    let tree = home
        .recto()
        .join("service/attempts")
        .join(&attempt)
        .join("tree");
    let read = |name: &str| std::fs::read_to_string(tree.join(name)).unwrap_or_default();
    let runs: Vec<String> = read("runs.txt").lines().map(str::to_owned).collect();
    let unique: BTreeSet<&String> = runs.iter().collect();
    assert_eq!(unique.len(), runs.len(), "run twice in {attempt}: {runs:?}");
    let commands = (1..=STEPS).filter(|step| !step.is_multiple_of(4));
    let expected: Vec<String> = commands.map(|step| step.to_string()).collect();
    let log = read("log.txt");
    assert_eq!(log.lines().collect::<Vec<_>>(), expected, "{attempt}");
    assert_eq!(read("p4/a") + &read("p8/a"), "4\n8\n", "{attempt}");
    let records = service.log(&attempt);
    let of = |kind: &'static str| records.iter().filter(move |record| record["kind"] == kind);
    for step in 1..=STEPS {
        let call = format!("call_r{step}_0");
        let ended = of("tool.finished").filter(|one| one["body"]["call_id"] == *call);
        assert!(ended.count() <= 1, "step {step} of {attempt} ended twice");
    }
    let inboxes = of("turn.started").filter(|one| one["body"]["inbox"] == 1);
    assert_eq!(
        inboxes.count(),
        1,
        "the prompt of {attempt} was taken in twice"
    );
    assert_eq!(of("work.settled").count(), 1, "{attempt}");
    let is_lost = |record: &&Value| {
        record["body"]["call_id"]
            .as_str()
            .is_some_and(|call| call.contains("_m"))
    };
    of("tool.finished").filter(is_lost).count()
}
