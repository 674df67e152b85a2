-- Tokens of the API. Secrets are not here, only their SHA-256 in hexadecimal digits.

create table token (
    id text primary key not null,
    name text not null,
    -- Words joined by spaces.
    scopes text not null,
    sha256 text unique not null,
    created_at bigint not null,
    expires_at bigint,
    used_at bigint,
    revoked_at bigint
);
