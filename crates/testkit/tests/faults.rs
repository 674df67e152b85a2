//! `kill -9` at random of whatever a session consists of: the harness, PID 1 of its cell, its
//! launcher, the sweeper, and any helper that is added to them. A hundred rounds, as whoever runs
//! the tests and as an ordinary user.
//!
//! Each round begins a session whose commands leave processes in the background, waits for a random
//! event of its output and a random moment more (the one use of time; nothing is concluded from
//! it), and kills. A harness that was spared must come to its end by itself.
//!
//! Afterwards: no process of the round; no mount; none of the cgroups that its processes were in; nothing in
//! `TMPDIR` and `XDG_RUNTIME_DIR`; in the work tree what the commands made and nothing else; in the
//! program's directory what a session that nobody killed leaves. `.git` is byte for byte what it
//! was where nothing is committed; where commands commit, it is sound, and its branch is where it
//! was or at the commit. Where harness and sweeper were both killed, which nobody can clean up after, the next start
//! must have done it.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failed step fails the test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use recto_testkit::{
    Home, Live, Random, Repository, Script, User, cgroups_of, eventually, helpers_of, mounts_with,
    processes_with,
};
use rustix::process::{Pid, Signal, kill_process};

const ROUNDS: usize = 100;
const WORKERS: usize = 4;
/// Longest that a kill comes after an event, in microseconds: longer than making a cell takes.
const LATER: u64 = 15_000;

const COMMIT: &str = "git add made.txt; \
    git -c user.name=t -c user.email=t@localhost commit -qm inside";

struct Round {
    home: Home,
    repo: Repository,
    script: Script,
    temporary: tempfile::TempDir,
    user: User,
    commits: bool,
}

/// What a round has on disk, apart from the sessions themselves.
#[derive(Debug, PartialEq)]
struct State {
    git: BTreeMap<PathBuf, Vec<u8>>,
    tree: BTreeSet<PathBuf>,
    own: BTreeSet<PathBuf>,
    temporary: BTreeSet<PathBuf>,
}

impl Round {
    fn new(user: User, commits: bool) -> Self {
        let mut home = Home::of(user);
        let temporary = tempfile::tempdir().unwrap();
        user.take(temporary.path());
        for variable in ["TMPDIR", "XDG_RUNTIME_DIR"] {
            home.set(variable, temporary.path().to_str().unwrap());
        }
        let repo = Repository::new(&[("a.txt", "a\n"), ("src/b.txt", "b\n")]);
        repo.give_to(user);
        let mut script = Script::new();
        for step in 0..4 {
            let commit = if commits && step == 1 { COMMIT } else { "" };
            script = script.exec(&format!(
                "(setsid sleep 1000 &); sleep 1000 & echo {step} > made.txt; sleep 0.0{step}; {commit}"
            ));
        }
        let script = script.answer("Done.");
        user.take(script.dir());
        Self {
            home,
            repo,
            script,
            temporary,
            user,
            commits,
        }
    }

    fn begin(&self) -> Live {
        let model = self.script.model();
        let args = ["exec", "--json", "-m", &model, "do it"];
        Live::start(self.home.command(self.repo.path(), &args))
    }

    /// A start that finds what others left.
    fn next_start(&self) {
        let args = ["cell", "run", "--", "true"];
        self.home.run(self.repo.path(), &args).expect(0);
    }

    fn processes(&self) -> Vec<(u32, String)> {
        processes_with(&[
            self.home.path().to_str().unwrap(),
            self.repo.path().to_str().unwrap(),
        ])
    }

    fn state(&self) -> State {
        let repo = self.repo.path();
        let git = files(&repo.join(".git")).into_iter();
        let content = |path: PathBuf| {
            let bytes = std::fs::read(&path).unwrap_or_default();
            (path.strip_prefix(repo).unwrap().to_owned(), bytes)
        };
        let names = |root: &Path, without: &str| -> BTreeSet<PathBuf> {
            let names = files(root).into_iter();
            let names = names.map(|path| path.strip_prefix(root).unwrap().to_owned());
            names.filter(|name| !name.starts_with(without)).collect()
        };
        State {
            git: git.map(content).collect(),
            tree: names(repo, ".git"),
            own: names(&self.home.recto(), "sessions")
                .into_iter()
                .filter(|name| !is_meant_to_stay(name))
                .collect(),
            temporary: names(self.temporary.path(), "-"),
        }
    }
}

/// What a killed session leaves on purpose: its view of the repository, in which the next start finds
/// its commits, and the file that patches of the same tree lock, whose name is the tree's.
fn is_meant_to_stay(name: &Path) -> bool {
    let is_lock = name.extension().is_some_and(|end| end == "lock");
    name.starts_with("layers") || (name.starts_with("journals") && is_lock)
}

/// Whether a commit of the commands came home whole or not at all.
fn assert_sound(round: &Round, before: &State, what: &str) {
    if !round.commits {
        assert_eq!(round.state().git, before.git, "{what}");
        return;
    }
    let repo = &round.repo;
    repo.git(&["fsck", "--strict", "--no-dangling"]);
    let subjects = repo.git(&["log", "--format=%s"]);
    assert!(
        ["first", "inside\nfirst"].contains(&&*subjects),
        "{what}: {subjects}"
    );
    let mut names = round.state().git.into_keys();
    assert_eq!(
        names.find(|name| name.extension().is_some_and(|end| end == "lock")),
        None,
        "{what}"
    );
}

/// Everything below a directory, directories too.
fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            if entry.file_type().unwrap().is_dir() {
                waiting.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    found
}

/// Whom a round kills, in this order. Helpers go by the word that their command line begins with.
#[derive(Clone, Debug)]
enum Victim {
    Harness,
    /// One of the helpers that there are, chosen by this number.
    Helper(u64),
    HelperThenHarness(u64),
    HarnessThenHelpers,
}

impl Victim {
    fn choose(random: &mut Random) -> Self {
        let number = random.below(1 << 32);
        match random.below(8) {
            0..3 => Self::Harness,
            3..6 => Self::Helper(number),
            6 => Self::HelperThenHarness(number),
            _ => Self::HarnessThenHelpers,
        }
    }

    /// Kills, and gives the kinds of the helpers that were among them.
    fn kill(&self, live: &Live) -> Vec<String> {
        let helpers = helpers_of(live.pid());
        let one = |number: &u64| {
            let at = usize::try_from(*number).unwrap() % helpers.len().max(1);
            helpers.get(at..=at).unwrap_or_default()
        };
        let killed = match self {
            Self::Harness => &[],
            Self::Helper(number) | Self::HelperThenHarness(number) => one(number),
            Self::HarnessThenHelpers => &helpers[..],
        };
        if let Self::HarnessThenHelpers = self {
            live.signal(Signal::KILL);
        }
        for (pid, _) in killed {
            // It may have ended in this very moment.
            let pid = Pid::from_raw(i32::try_from(*pid).unwrap()).unwrap();
            let _ = kill_process(pid, Signal::KILL);
        }
        if let Self::HelperThenHarness(_) = self {
            live.signal(Signal::KILL);
        }
        if let Self::Harness = self {
            live.signal(Signal::KILL);
        }
        killed.iter().map(|(_, kind)| kind.clone()).collect()
    }

    fn spares_the_harness(&self) -> bool {
        matches!(self, Self::Helper(_))
    }
}

#[test]
fn a_hundred_random_kills_leave_nothing() {
    let users = User::all();
    let undisturbed = |commits: bool| -> Vec<State> {
        let states = users.iter().map(|user| {
            let round = Round::new(*user, commits);
            round.begin().finish().expect(0);
            let subjects = round.repo.git(&["log", "--format=%s"]);
            assert_eq!(subjects == "inside\nfirst", commits, "{subjects}");
            round.state()
        });
        states.collect()
    };
    let undisturbed = [false, true].map(undisturbed);
    let mut random = Random::new();
    let tally: Mutex<BTreeMap<String, usize>> = Mutex::default();
    std::thread::scope(|scope| {
        // Most of a round is waiting for others.
        for _ in 0..WORKERS {
            let mut random = random.branch();
            let (users, undisturbed, tally) = (&users, &undisturbed, &tally);
            scope.spawn(move || {
                for number in 0..ROUNDS / WORKERS {
                    let which = number % users.len();
                    let round = Round::new(users[which], random.below(2) == 0);
                    let victim = Victim::choose(&mut random);
                    let killed = play(&round, &victim, &mut random);
                    let what = format!("round {number}, {:?}: {victim:?} {killed:?}", round.user);
                    let expected = &undisturbed[usize::from(round.commits)][which];
                    check(&round, expected, &victim, &killed, &what);
                    let kind = format!("{victim:?} {killed:?}").replace(char::is_numeric, "");
                    *tally.lock().unwrap().entry(kind).or_default() += 1;
                }
            });
        }
    });
    println!("killed: {:#?}", tally.lock().unwrap());
}

/// Begins a session, kills in it, and waits for its end. Gives what was killed besides the harness.
fn play(round: &Round, victim: &Victim, random: &mut Random) -> Vec<String> {
    let before = round.state();
    let mut live = round.begin();
    for _ in 0..random.below(7) {
        live.line();
    }
    std::thread::sleep(Duration::from_micros(random.below(LATER)));
    let (harness, cgroups) = (live.pid(), cgroups_of(live.pid()));
    let killed = victim.kill(&live);
    if victim.spares_the_harness() {
        // However it takes it, it comes to its end.
        live.finish();
    } else {
        live.kill();
    }
    let is_gone = eventually(|| round.processes().is_empty() && helpers_of(harness).is_empty());
    assert!(is_gone, "{victim:?} {killed:?}: {:#?}", round.processes());
    let left = || {
        cgroups
            .iter()
            .filter(|path| path.exists())
            .collect::<Vec<_>>()
    };
    assert!(eventually(|| left().is_empty()), "cgroups: {:#?}", left());
    assert_sound(round, &before, &format!("{victim:?} {killed:?}"));
    killed
}

fn check(round: &Round, undisturbed: &State, victim: &Victim, killed: &[String], what: &str) {
    let marks = [round.home.path(), round.repo.path(), round.temporary.path()];
    let marks = marks.map(|path| path.to_str().unwrap());
    assert_eq!(mounts_with(&marks), Vec::<String>::new(), "{what}");
    // Nobody is left who could clean up.
    if !victim.spares_the_harness() && killed.iter().any(|kind| kind != "cell") {
        round.next_start();
        assert!(eventually(|| round.processes().is_empty()), "{what}");
    }
    let state = round.state();
    let surplus = |now: &BTreeSet<PathBuf>, then: &BTreeSet<PathBuf>| -> Vec<PathBuf> {
        now.difference(then).cloned().collect()
    };
    assert_eq!(
        surplus(&state.tree, &undisturbed.tree),
        Vec::<PathBuf>::new(),
        "{what}"
    );
    assert_eq!(
        surplus(&state.own, &undisturbed.own),
        Vec::<PathBuf>::new(),
        "{what}"
    );
    assert_eq!(
        surplus(&state.temporary, &undisturbed.temporary),
        Vec::<PathBuf>::new(),
        "{what}"
    );
}
