//! `kill -9` at random moments of a session of 30 steps, and what must hold then.
//!
//! The session: every fifth step adds two files by one patch; the others run a command that notes its
//! number in `runs.txt` when it begins and in `log.txt` when it ends. The scripted model issues each
//! of them once. When it is told that a result was lost, it only looks (`cmp` of each pair); what a
//! kill left undone is brought about by the steps after the thirtieth, which may be repeated at will.
//!
//! The kills: half of them a few milliseconds after a random event of the run's `--json` output, the
//! others at a random moment of the start of a resumed run, when the log is opened and the cell made.
//! Waiting for that moment is the one use of time; nothing is concluded from it.
//!
//! After each kill:
//!
//! - no process of the run is left, and no mount;
//! - every result that had been shown is in the log;
//! - the log begins with what it held after the kill before (but for a torn last line);
//! - no number stands twice in `runs.txt`: no command was run twice. That a command is not run by a
//!   survivor later on follows from the same at the end;
//! - of no pair of files only one is there, once the run that follows has begun.
//!
//! At the end of each session the work tree is that of a session that nobody killed (but for
//! `runs.txt`, which must lack the commands that were lost), and `TMPDIR`, the journals and the
//! session's directory hold nothing that does not belong there.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failed step fails the test"
)]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use recto_testkit::{
    Home, Live, Random, Repository, Run, Script, Tree, eventually, mounts_with, processes_with,
    tree,
};
use serde_json::{Value, json};

const STEPS: u32 = 30;
const KILLS: usize = 100;

struct Bench {
    home: Home,
    repo: Repository,
    script: Script,
    temp: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let mut home = Home::new();
        home.set("TMPDIR", temp.path().to_str().unwrap());
        let repo = Repository::new(&[("a.txt", "a\n")]);
        Self {
            home,
            repo,
            script: script(),
            temp,
        }
    }

    fn marks(&self) -> [&str; 2] {
        [
            self.home.path().to_str().unwrap(),
            self.repo.path().to_str().unwrap(),
        ]
    }

    fn session(&self) -> PathBuf {
        self.home.sessions().pop().unwrap()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.session().join("log.jsonl")).unwrap()
    }

    fn begin(&self) -> Live {
        let args = [
            "exec",
            "--json",
            "-m",
            &self.script.model(),
            "count to thirty",
        ];
        Live::start(self.home.command(self.repo.path(), &args))
    }

    fn go_on(&self) -> Live {
        let id = self
            .session()
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let args = ["exec", "--json", "resume", &id];
        Live::start(self.home.command(self.repo.path(), &args))
    }

    fn numbers(&self, file: &str) -> Vec<u32> {
        let text = std::fs::read_to_string(self.repo.path().join(file)).unwrap_or_default();
        text.lines().map(|line| line.parse().unwrap()).collect()
    }

    fn is_over(&self) -> bool {
        self.log().contains(r#""kind":"turn.ended""#)
    }

    /// The work tree without what depends on where the kills came.
    fn tree(&self) -> Tree {
        let mut tree = tree(self.repo.path());
        tree.remove("runs.txt");
        tree
    }
}

fn is_patch(step: u32) -> bool {
    step.is_multiple_of(5)
}

fn script() -> Script {
    let mut script = Script::new();
    for step in 1..=STEPS {
        script = if is_patch(step) {
            script.patch(&format!(
                "*** Begin Patch\n*** Add File: p{step}/a\n+{step}\n*** Add File: p{step}/b\n\
                 +{step}\n*** End Patch\n"
            ))
        } else {
            // Some end at once, some last long enough to be killed in the middle.
            let pause = f64::from(step % 4) / 100.0;
            script.exec(&format!(
                "echo {step} >> runs.txt; sleep {pause}; echo {step} >> log.txt; echo step {step}"
            ))
        };
    }
    let missing = format!(
        // Each pair of files appears at once, since this command can be killed in the middle, too.
        "rm -rf new; for n in $(seq {STEPS}); do if [ $((n % 5)) = 0 ]; then [ -d p$n ] || \
         {{ mkdir new; echo $n > new/a; echo $n > new/b; mv new p$n; }}; else grep -qx $n log.txt || echo $n >> log.txt; fi; done; \
         sort -no log.txt log.txt"
    );
    for _ in 0..4 {
        script = script.exec(&missing);
    }
    script
        .reply(json!({"text": "done", "times": 4}))
        .reply(json!({"match": "The worker stopped before", "events": [{"call": "exec_command",
            "arguments": {"cmd": "for d in p*/; do [ -d $d ] || continue; cmp $d/a $d/b || echo $d >> torn.txt; done"}}]}))
}

#[test]
fn a_session_killed_at_a_hundred_random_moments() {
    let undisturbed = Bench::new();
    let run = undisturbed.begin().finish().expect(0);
    let expected = undisturbed.tree();
    let lines = run.events().len() as u64;

    let mut random = Random::new();
    let (mut kills, mut sessions, mut lost) = (0, 0, 0);
    while kills < KILLS {
        let bench = Bench::new();
        sessions += 1;
        let mut known = String::new();
        // About ten kills to a session, spread over what is left of it.
        while kills < KILLS {
            let mut live = if known.is_empty() {
                bench.begin()
            } else {
                bench.go_on()
            };
            if known.is_empty() {
                assert!(live.wait_for(|event| event["type"] == "turn.started"));
            }
            if !known.is_empty() && random.below(2) == 0 {
                std::thread::sleep(Duration::from_micros(random.below(90_000)));
            } else {
                for _ in 0..=random.below(lines / 5) {
                    live.line();
                }
                std::thread::sleep(Duration::from_micros(random.below(8_000)));
            }
            let shown = live.kill();
            kills += 1;
            check_after_kill(&bench, &mut known, &shown);
            // What lost commands left undone is repaired at the end, and that must not be killed
            // every time: once all steps were issued, the session is left in peace.
            let is_issued = bench.log().contains(&format!(r#""id":"fc_r{STEPS}_0""#));
            if bench.is_over() || is_issued {
                break;
            }
        }
        if !bench.is_over() {
            let before = known.clone();
            bench.go_on().finish().expect(0);
            assert!(bench.log().starts_with(&before));
        }
        lost += bench.log().matches(r#""id":"fc_m"#).count();
        check_end(&bench, &expected);
    }
    println!("{kills} kills in {sessions} sessions; {lost} results were lost and told so");
}

fn check_after_kill(bench: &Bench, known: &mut String, shown: &[String]) {
    let marks = bench.marks();
    // The committer of a patch may outlive its parent, to finish what it began.
    let is_gone = eventually(|| processes_with(&marks).is_empty());
    assert!(is_gone, "left behind: {:#?}", processes_with(&marks));
    assert_eq!(mounts_with(&marks), Vec::<String>::new());

    let log = bench.log();
    let whole = &log[..log.rfind('\n').map_or(0, |at| at + 1)];
    assert!(
        whole.starts_with(known.as_str()),
        "records were lost\nwas {known}\nis {log}"
    );
    for event in shown
        .iter()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
    {
        let item = &event["item"];
        let output = item["aggregated_output"]
            .as_str()
            .unwrap_or_default()
            .trim_end();
        if event["type"] == "item.completed" && output.starts_with("step ") {
            let recorded = whole.lines().any(|line| {
                line.contains(r#""kind":"tool.finished""#) && line.contains(&format!("{output}\\n"))
            });
            assert!(
                recorded,
                "{output:?} was shown and is not in the log\n{log}"
            );
        }
    }
    *known = whole.to_owned();

    let runs = bench.numbers("runs.txt");
    let unique: BTreeSet<u32> = runs.iter().copied().collect();
    assert_eq!(
        unique.len(),
        runs.len(),
        "a command was run twice: {runs:?}"
    );
}

fn check_end(bench: &Bench, expected: &Tree) {
    let runs = bench.numbers("runs.txt");
    let unique: BTreeSet<u32> = runs.iter().copied().collect();
    assert_eq!(
        unique.len(),
        runs.len(),
        "a command was run twice: {runs:?}"
    );
    let log = bench.log();
    // A call without its result was answered as lost, once, and never made again.
    for step in 1..=STEPS {
        let issued = log.matches(&format!(r#""id":"fc_r{step}_0""#)).count();
        let finished = log
            .lines()
            .filter(|line| line.contains(r#""kind":"tool.finished""#))
            .filter(|line| line.contains(&format!(r#""call_id":"call_r{step}_0","status""#)))
            .count();
        assert_eq!(issued, 1, "step {step} was issued {issued} times\n{log}");
        assert!(
            finished <= 1,
            "step {step} finished {finished} times\n{log}"
        );
        if finished == 1 && !is_patch(step) {
            assert!(unique.contains(&step), "step {step} did not run\n{log}");
        }
    }
    assert_eq!(bench.tree(), *expected, "{log}");
    let names = |dir: PathBuf| -> Vec<String> {
        let entries = std::fs::read_dir(dir).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(bench.temp.path().to_owned()), Vec::<String>::new());
    let mut files = names(bench.session());
    files.retain(|name| !name.starts_with("log.torn-"));
    assert_eq!(files, ["chunks", "lock", "log.jsonl"]);
    // Lock files may stay; journals may not.
    let journals = names(bench.home.recto().join("journals"));
    assert!(
        journals.iter().all(|name| name.ends_with("lock")),
        "{journals:?}"
    );
}

/// A run that was killed while a patch was being applied is followed by one that sees all of the
/// patch or nothing of it, whatever it does first.
#[test]
fn half_a_patch_is_never_seen() {
    const FILES: usize = 150;
    let mut patch = "*** Begin Patch\n".to_owned();
    for n in 0..FILES {
        patch += &format!("*** Add File: d/{n}\n+{n}\n");
    }
    patch += "*** End Patch\n";
    let script = Script::new()
        .patch(&patch)
        .exec("ls -A d 2>/dev/null | wc -l")
        .answer("done")
        .reply(
            json!({"match": "The worker stopped before", "events": [{"call": "exec_command",
            "arguments": {"cmd": "ls -A d 2>/dev/null | wc -l"}}]}),
        );
    let args = ["exec", "--json", "-m", &script.model(), "do it"];
    let start = || {
        let (home, repo) = (Home::new(), Repository::new(&[("a.txt", "a\n")]));
        let mut live = Live::start(home.command(repo.path(), &args));
        assert!(live.wait_for(|event| event["type"] == "turn.started"));
        (home, repo, live)
    };
    // How long it takes without a kill says where the kills are spread over.
    let (_home, _repo, mut live) = start();
    let began = Instant::now();
    assert!(live.wait_for(|event| event["type"] == "item.completed"));
    let whole = u64::try_from(began.elapsed().as_micros()).unwrap();
    drop(live);

    let mut random = Random::new();
    let mut seen: Vec<usize> = Vec::new();
    for round in 0..20 {
        let (home, repo, live) = start();
        if round % 2 == 0 {
            std::thread::sleep(Duration::from_micros(random.below(whole)));
        } else {
            // Most of the time goes into staging; this one is killed while files move to their places.
            assert!(eventually(|| repo.path().join("d/0").exists()));
        }
        live.kill();
        if home
            .records()
            .iter()
            .any(|record| record["kind"] == "turn.ended")
        {
            continue;
        }
        let run: Run = home
            .run(repo.path(), &["exec", "--json", "resume", "--last"])
            .expect(0);
        let counts = run.events().into_iter().filter_map(|event| {
            let item = &event["item"];
            let is_count = event["type"] == "item.completed"
                && item["command"]
                    .as_str()
                    .is_some_and(|command| command.starts_with("ls -A d"));
            is_count.then(|| {
                item["aggregated_output"]
                    .as_str()
                    .unwrap()
                    .trim()
                    .parse()
                    .unwrap()
            })
        });
        let counts: Vec<usize> = counts.collect();
        assert!(
            counts.iter().all(|&count| count == 0 || count == FILES),
            "{counts:?}"
        );
        seen.extend(counts);
    }
    println!("files of the patch seen after each kill: {seen:?}");
}
