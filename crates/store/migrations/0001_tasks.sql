-- The store of tasks, for SQLite and PostgreSQL alike: texts and 64-bit numbers, times in
-- milliseconds since 1970-01-01 UTC, 0 and 1 for no and yes. docs/store.md tells what is what.

create table repository (
    name text primary key not null,
    url text not null,
    default_reference text,
    created_at bigint not null
);

create table task (
    id text primary key not null,
    -- What was handed in, as JSON.
    spec text not null,
    repository text not null,
    title text not null,
    -- A JSON array, sorted. The table label holds the same, to be searched.
    labels text not null,
    archived bigint not null,
    created_at bigint not null,
    -- The key it was handed in under.
    submit_key text unique,
    -- Title and prompt, folded.
    words text not null
);
create index task_by_time on task (archived, created_at, id);
create index task_by_repository on task (repository, created_at, id);

create table label (
    word text not null,
    task text not null references task (id),
    primary key (word, task)
);
create index label_by_task on label (task);

create table worker (
    id text primary key not null,
    beat bigint not null,
    joined_at bigint not null
);

create table attempt (
    id text primary key not null,
    task text not null references task (id),
    number bigint not null,
    state text not null,
    reason text not null,
    updated_at bigint not null,
    -- Since when it waits, or waited, for a worker.
    queued_at bigint not null,
    -- The fence: who may write, and under which number.
    worker text references worker (id),
    epoch bigint not null,
    -- The log's length, in records and in bytes.
    records bigint not null,
    bytes bigint not null,
    -- The inbox's length, and the number of the last message that the log has taken in.
    messages bigint not null,
    taken bigint not null,
    -- What the log adds up to, as JSON.
    standing text not null,
    unique (task, number)
);
create index attempt_queue on attempt (queued_at, id) where state = 'queued' and worker is null;
create index attempt_by_worker on attempt (worker) where worker is not null;
create index attempt_by_state on attempt (state, task);

-- Beside the attempt, whose row is written with every append.
create table answer (
    attempt text primary key not null references attempt (id),
    -- The last final answer, folded.
    words text not null
);

create table record (
    attempt text not null references attempt (id),
    seq bigint not null,
    -- Bytes of the log before it.
    begins bigint not null,
    -- A line of the log, as docs/log.md has it.
    line text not null,
    primary key (attempt, seq)
);

create table message (
    attempt text not null references attempt (id),
    number bigint not null,
    at bigint not null,
    -- The key it was sent under.
    send_key text,
    -- 'text', 'stop', or 'done' for a stop that needed no worker.
    kind text not null,
    -- What is said, as JSON.
    said text not null,
    primary key (attempt, number),
    unique (attempt, send_key)
);
