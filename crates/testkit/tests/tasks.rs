//! Tasks through `recto serve`: their whole way, what is said to them, and what one sees of another.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::time::{Duration, Instant};

use recto_testkit::{Home, Repository, Script, Service, eventually, processes_with};
use serde_json::{Value, json};

/// A home with a service, and a repository that it knows as `repo`.
struct Bench {
    home: Home,
    repo: Repository,
    service: Service,
}

impl Bench {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(args: &[&str]) -> Self {
        let home = Home::new();
        let repo = Repository::new(&[("a.txt", "one\n"), ("keep.txt", "kept\n")]);
        let service = Service::start(&home, args);
        service.add_repository(repo.path(), "repo");
        Self {
            home,
            repo,
            service,
        }
    }

    fn submit(&self, script: &Script, more: &Value) -> String {
        self.service.submit(&task(script, more))
    }
}

/// A task as the API takes it, with `more` in its spec.
fn task(script: &Script, more: &Value) -> Value {
    let mut spec = json!({"repository": "repo", "prompt": "do it", "model": script.model()});
    for (name, value) in more.as_object().unwrap() {
        spec[name] = value.clone();
    }
    json!({"spec": spec})
}

fn bodies<'a>(log: &'a [Value], kind: &str) -> Vec<&'a Value> {
    let same = log.iter().filter(|record| record["kind"] == kind);
    same.map(|record| &record["body"]).collect()
}

#[test]
fn a_task_goes_its_whole_way() {
    let bench = Bench::new();
    let script = Script::new()
        .exec("echo two >> a.txt && git commit -qam 'Add two' && echo left > left.txt")
        .answer("It is done.");
    let id = bench.submit(&script, &json!({"checks": ["grep -q two a.txt"]}));
    let attempt = format!("{id}.1");
    let mut events = bench.service.events(&attempt, 0);
    assert!(events.record("work.settled").is_some());
    let task = bench.service.wait(&id);
    let standing = &task["attempts"][0]["standing"];
    assert_eq!(task["attempts"][0]["state"], "done", "{task:#}");
    assert_eq!(standing["turns"], 1);
    assert_eq!(standing["steps"], 2);
    assert_eq!(
        [&standing["files"], &standing["added"], &standing["removed"]],
        [2, 2, 0]
    );
    assert_eq!(
        [&standing["checks_passed"], &standing["checks_failed"]],
        [1, 0]
    );
    // Every state has its record.
    let log = bench.service.log(&attempt);
    let states: Vec<&Value> = bodies(&log, "state.changed")
        .iter()
        .map(|body| &body["state"])
        .collect();
    assert_eq!(states, ["queued", "preparing", "running", "done"]);
    let settled = bodies(&log, "work.settled")[0];
    assert!(settled["leftovers"].is_string(), "{settled}");
    // What was asked for came as the inbox's first message.
    assert_eq!(bodies(&log, "turn.started")[0]["inbox"], 1);
    // What the answer says was held against what ran.
    let gathered = bodies(&log, "evidence.gathered");
    let summary = &gathered.last().unwrap()["summary"];
    assert_eq!(summary["checks"][0]["state"], "passed", "{summary:#}");
    // The result can be applied where the task came from, and nothing was changed there before.
    let path = format!("/attempts/{attempt}/diff?binary=true");
    let diff = bench.service.request("GET", &path, None);
    assert_eq!(diff.status, 200);
    assert_eq!(bench.repo.git(&["status", "--porcelain"]), "");
    assert_eq!(
        bench.repo.git(&["branch", "--format=%(refname:short)"]),
        "main"
    );
    std::fs::write(bench.home.path().join("patch"), &diff.body).unwrap();
    let patch = bench.home.path().join("patch");
    bench
        .repo
        .git(&["apply", "--index", patch.to_str().unwrap()]);
    assert_eq!(bench.repo.read("a.txt"), "one\ntwo\n");
    assert_eq!(bench.repo.read("left.txt"), "left\n");
    // A command's output is kept whole.
    let tool = bodies(&log, "tool.finished")[0];
    let chunk = tool["effect"]["chunk"].as_str().unwrap();
    let chunk = bench
        .service
        .request("GET", &format!("/attempts/{attempt}/chunks/{chunk}"), None);
    assert_eq!(chunk.status, 200);
    assert!(bench.service.stop().code == Some(0));
}

#[test]
fn attempts_and_tasks_see_nothing_of_each_other() {
    let bench = Bench::new();
    let script = Script::new()
        .exec(
            "echo secret-$$ > mine.txt; sleep 0.3; ls -d ../../* ../../../* 2>/dev/null; \
             cat ../../*/tree/mine.txt; ps -e | grep -c sleep; git branch -a",
        )
        .answer("done");
    let tasks: Vec<String> = (0..2)
        .map(|_| bench.submit(&script, &json!({"attempts": 4})))
        .collect();
    for id in &tasks {
        for attempt in bench.service.wait(id)["attempts"].as_array().unwrap() {
            assert_eq!(attempt["state"], "done", "{attempt:#}");
            let log = bench.service.log(attempt["id"].as_str().unwrap());
            let told = bodies(&log, "tool.finished")[0]["item"]["output"].to_string();
            assert_eq!(told.matches("secret-").count(), 1, "{told}");
            let own = format!("recto/{}", attempt["id"].as_str().unwrap());
            assert!(told.contains(&own), "{told}");
            for other in &tasks {
                for number in 1..=4 {
                    let other = format!("{other}.{number}");
                    assert!(attempt["id"] == *other || !told.contains(&other), "{told}");
                }
            }
        }
    }
}

#[test]
fn a_follow_up_goes_on_where_the_work_was() {
    let bench = Bench::new();
    let script = Script::new()
        .exec("echo two >> a.txt")
        .answer("first")
        .exec("cat a.txt; git log --oneline | wc -l; git status --porcelain; echo three >> a.txt")
        .answer("second");
    let id = bench.submit(&script, &json!({}));
    let attempt = format!("{id}.1");
    bench.service.wait(&id);
    let message = json!({"said": {"kind": "text", "text": "go on", "delivery": "queue"}});
    let sent = bench.service.request(
        "POST",
        &format!("/attempts/{attempt}/messages"),
        Some(&message),
    );
    assert!(sent.status < 300, "{}", sent.text());
    let task = bench.service.wait(&id);
    assert_eq!(task["attempts"][0]["state"], "done", "{task:#}");
    assert_eq!(task["attempts"][0]["standing"]["turns"], 2);
    assert_eq!(task["attempts"][0]["standing"]["added"], 2);
    let log = bench.service.log(&attempt);
    // The leftovers of the first turn are a commit, and the tree is clean.
    let told = bodies(&log, "tool.finished")[1]["item"]["output"].to_string();
    assert!(told.contains(r"one\ntwo\n2\n"), "{told}");
    assert!(!told.contains(" M a.txt"), "{told}");
    assert_eq!(bodies(&log, "work.settled").len(), 2);
}

#[test]
fn claims_and_citations_get_verdicts() {
    let bench = Bench::new();
    let script = Script::new()
        .exec("printf 'ok 1 - a\\nok 2 - b\\n1..2\\n'; cat a.txt")
        .exec("echo two >> a.txt")
        .answer("All tests pass 【{{chunk 1}}†L1-L2】, see 【F:a.txt†L1-L2】 and 【F:b.txt†L1】.");
    let id = bench.submit(&script, &json!({}));
    bench.service.wait(&id);
    let log = bench.service.log(&format!("{id}.1"));
    let summary = &bodies(&log, "evidence.gathered").last().unwrap()["summary"];
    let verdicts: Vec<&Value> = summary["citations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|citation| &citation["verdict"])
        .collect();
    // The output is older than the last change of a command, not only of a patch.
    assert_eq!(verdicts, ["stale", "holds", "not_found"], "{summary:#}");
    assert_ne!(summary["claims"][0]["verdict"], "proven", "{summary:#}");
}

#[test]
fn a_stop_kills_what_runs_and_keeps_the_work() {
    let bench = Bench::new();
    let stubborn = "echo begun > begun.txt; (trap '' TERM INT; while :; do sleep 1; done) & \
                    sh -c 'kill -STOP $$' & sleep 1000";
    let script = Script::new().exec(stubborn).answer("never");
    let id = bench.submit(&script, &json!({}));
    let attempt = format!("{id}.1");
    let mut events = bench.service.events(&attempt, 0);
    assert!(events.record("step.item").is_some());
    let tree = bench.home.recto().join("service/attempts").join(&attempt);
    assert!(eventually(|| tree.join("tree/begun.txt").exists()));
    let asked = Instant::now();
    let stopped = bench
        .service
        .request("POST", &format!("/tasks/{id}/stop"), Some(&json!({})));
    assert!(stopped.status < 300, "{}", stopped.text());
    let task = bench.service.wait(&id);
    let took = asked.elapsed();
    assert_eq!(task["attempts"][0]["state"], "cancelled", "{task:#}");
    assert_eq!(task["attempts"][0]["standing"]["files"], 1, "{task:#}");
    assert!(processes_with(&[tree.to_str().unwrap()]).is_empty());
    // A generous bound for a busy machine; `cargo xtask bench` measures it.
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn a_stop_reaches_an_attempt_that_waits_in_the_queue() {
    let bench = Bench::with(&["--attempts", "1"]);
    let script = Script::new().exec("sleep 1000").answer("never");
    let first = bench.submit(&script, &json!({}));
    let mut events = bench.service.events(&format!("{first}.1"), 0);
    assert!(events.record("step.item").is_some());
    let second = bench.submit(&script, &json!({}));
    let path = format!("/tasks/{second}/stop");
    bench.service.request("POST", &path, Some(&json!({})));
    let task = bench.service.wait(&second);
    assert_eq!(task["attempts"][0]["state"], "cancelled");
    let log = bench.service.log(&format!("{second}.1"));
    assert!(bodies(&log, "session.started").is_empty());
}

#[test]
fn steering_is_in_the_next_request() {
    let bench = Bench::new();
    let script = Script::new()
        .exec("touch begun; while [ ! -e go ]; do sleep 0.05; done")
        .reply(json!({"match": "use blue", "text": "blue it is"}))
        .answer("never heard");
    let id = bench.submit(&script, &json!({}));
    let attempt = format!("{id}.1");
    let tree = bench
        .home
        .recto()
        .join("service/attempts")
        .join(&attempt)
        .join("tree");
    assert!(eventually(|| tree.join("begun").exists()));
    let message = json!({"said": {"kind": "text", "text": "use blue", "delivery": "steer"}});
    let path = format!("/attempts/{attempt}/messages");
    bench.service.request("POST", &path, Some(&message));
    let mut events = bench.service.events(&attempt, 0);
    assert!(events.record("message.added").is_some());
    std::fs::write(tree.join("go"), "").unwrap();
    bench.service.wait(&id);
    let log = bench.service.log(&attempt);
    let ended = bodies(&log, "turn.ended")[0];
    assert_eq!(ended["outcome"]["answer"], "blue it is", "{ended}");
}

#[test]
fn what_cannot_be_worked_on_fails_with_its_reason() {
    let bench = Bench::new();
    let script = Script::new().answer("done");
    let wrong = |more: &Value, status: u16| {
        let made = bench
            .service
            .request("POST", "/tasks", Some(&task(&script, more)));
        assert_eq!(made.status, status, "{more}: {}", made.text());
        made.json()
    };
    wrong(&json!({"repository": "nowhere"}), 404);
    wrong(&json!({"prompt": " "}), 422);
    wrong(&json!({"attempts": 5}), 422);
    let id = bench.submit(&script, &json!({"reference": "no-such-branch"}));
    let task = bench.service.wait(&id);
    let reason = task["attempts"][0]["reason"].as_str().unwrap();
    assert_eq!(task["attempts"][0]["state"], "failed");
    assert!(reason.contains("no-such-branch"), "{reason}");
    let missing = json!({"url": bench.home.path().join("absent"), "name": "absent"});
    let added = bench
        .service
        .request("POST", "/repositories", Some(&missing));
    assert_eq!(added.status, 422, "{}", added.text());
    assert!(added.text().contains("absent"), "{}", added.text());
}

#[test]
fn a_task_is_removed_with_everything() {
    let bench = Bench::new();
    let script = Script::new()
        .exec("echo two > a.txt; mkdir -p deep/er; echo x > deep/er/file")
        .answer("canary-answer");
    let id = bench.submit(&script, &json!({"prompt": "canary-prompt"}));
    bench.service.wait(&id);
    let removed = bench
        .service
        .request("DELETE", &format!("/tasks/{id}"), None);
    assert!(removed.status < 300, "{}", removed.text());
    let gone = bench.service.request("GET", &format!("/tasks/{id}"), None);
    assert_eq!(gone.status, 404);
    let attempts = bench.home.recto().join("service/attempts");
    assert_eq!(std::fs::read_dir(attempts).unwrap().count(), 0);
}

#[test]
fn a_service_that_is_asked_to_stop_loses_nothing() {
    let bench = Bench::new();
    let script = Script::new()
        .exec("touch begun; sleep 0.5; echo one >> runs.txt")
        .exec("echo two >> runs.txt")
        .answer("done");
    let id = bench.submit(&script, &json!({}));
    let attempt = format!("{id}.1");
    let tree = bench
        .home
        .recto()
        .join("service/attempts")
        .join(&attempt)
        .join("tree");
    assert!(eventually(|| tree.join("begun").exists()));
    let Bench { home, service, .. } = bench;
    let run = service.stop();
    assert_eq!(run.code, Some(0), "{run:?}");
    let service = Service::start(&home, &[]);
    let task = service.wait(&id);
    assert_eq!(task["attempts"][0]["state"], "done", "{task:#}");
    let runs = std::fs::read_to_string(tree.join("runs.txt")).unwrap();
    assert_eq!(runs, "one\ntwo\n");
    let log = service.log(&attempt);
    // The step was finished, not cut off.
    assert!(
        bodies(&log, "tool.finished")
            .iter()
            .all(|body| body["status"] == "ok")
    );
}

#[test]
fn the_token_of_a_killed_service_lets_nobody_in() {
    let bench = Bench::new();
    let file = bench.home.recto().join("server.json");
    let text = std::fs::read_to_string(&file).unwrap();
    let token = serde_json::from_str::<Value>(&text).unwrap()["token"].clone();
    let header = format!("Authorization: Bearer {}\r\n", token.as_str().unwrap());
    let Bench { home, service, .. } = bench;
    assert_eq!(
        service.request_with("GET", "/tasks", &header, None).status,
        200
    );
    service.kill();
    let service = Service::start(&home, &[]);
    assert_eq!(
        service.request_with("GET", "/tasks", &header, None).status,
        401
    );
    service.get("/tasks");
}

#[test]
fn what_a_removed_task_had_left_is_removed_at_the_next_start() {
    let bench = Bench::new();
    let id = bench.submit(&Script::new().answer("done"), &json!({}));
    bench.service.wait(&id);
    let attempts = bench.home.recto().join("service/attempts");
    let orphan = attempts.join("aaaaaaaaaaaa.1");
    std::fs::create_dir_all(orphan.join("tree/deep")).unwrap();
    std::fs::write(orphan.join("tree/deep/file"), "").unwrap();
    std::fs::create_dir(attempts.join("not an attempt")).unwrap();
    let Bench { home, service, .. } = bench;
    service.stop();
    let service = Service::start(&home, &[]);
    assert!(!orphan.exists());
    assert!(attempts.join("not an attempt").exists());
    assert!(attempts.join(format!("{id}.1")).exists());
    service.get(&format!("/tasks/{id}"));
}
