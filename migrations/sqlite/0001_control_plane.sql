-- The control plane: who there is, what may be called, what was done. Times are microseconds since 1970.

-- Rises with every write that the data plane or the directory has to learn of. Its row is also the lock that puts
-- those writes in one order.
CREATE TABLE revision (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    value INTEGER NOT NULL
) STRICT;
INSERT INTO revision (id, value) VALUES (1, 0);

CREATE TABLE users (
    id BLOB PRIMARY KEY,
    email TEXT NOT NULL,
    email_key TEXT NOT NULL CONSTRAINT users_email_unique UNIQUE,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    password_hash TEXT,
    role TEXT NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    disabled INTEGER NOT NULL CHECK (disabled IN (0, 1)),
    epoch INTEGER NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    version INTEGER NOT NULL
) STRICT;

-- A login and all that is refreshed from it. It counts while it is neither revoked nor over, and the user's epoch is
-- still the one it was opened under.
CREATE TABLE sessions (
    id BLOB PRIMARY KEY,
    user_id BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    epoch INTEGER NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    revoked INTEGER
) STRICT;
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expires ON sessions (expires);

CREATE TABLE refresh_tokens (
    hash BLOB PRIMARY KEY CHECK (length(hash) = 32),
    session_id BLOB NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    created INTEGER NOT NULL,
    used INTEGER,
    child BLOB
) STRICT;
CREATE INDEX refresh_tokens_session ON refresh_tokens (session_id);

CREATE TABLE password_resets (
    hash BLOB PRIMARY KEY CHECK (length(hash) = 32),
    user_id BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    expires INTEGER NOT NULL
) STRICT;
CREATE INDEX password_resets_user ON password_resets (user_id);

CREATE TABLE service_accounts (
    id BLOB PRIMARY KEY,
    name TEXT NOT NULL CONSTRAINT service_accounts_name_unique UNIQUE,
    role TEXT CHECK (role IN ('viewer', 'operator', 'admin')),
    class TEXT NOT NULL CHECK (class IN ('low', 'normal', 'high')),
    disabled INTEGER NOT NULL CHECK (disabled IN (0, 1)),
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    version INTEGER NOT NULL
) STRICT;

CREATE TABLE api_keys (
    id BLOB PRIMARY KEY,
    service_account_id BLOB NOT NULL REFERENCES service_accounts (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    created INTEGER NOT NULL,
    expires INTEGER,
    last_used INTEGER,
    revoked INTEGER
) STRICT;
CREATE INDEX api_keys_service_account ON api_keys (service_account_id, id);

-- Documents are kept as they were written, with every digit of their numbers.
CREATE TABLE upstreams (
    name TEXT CONSTRAINT upstreams_name_unique PRIMARY KEY,
    spec TEXT NOT NULL CHECK (json_valid(spec)),
    revision INTEGER NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    updated_by TEXT NOT NULL
) STRICT;

CREATE TABLE upstream_revisions (
    name TEXT NOT NULL,
    revision INTEGER NOT NULL,
    action TEXT NOT NULL CHECK (action IN ('created', 'replaced', 'rolled_back', 'deleted')),
    spec TEXT CHECK (json_valid(spec)),
    at INTEGER NOT NULL,
    by_whom TEXT NOT NULL,
    PRIMARY KEY (name, revision)
) STRICT;

-- For upstreams of every source, so there may be no row of that name in upstreams.
CREATE TABLE credentials (
    upstream TEXT PRIMARY KEY,
    binding TEXT NOT NULL,
    version INTEGER NOT NULL,
    kid TEXT NOT NULL,
    sealed BLOB NOT NULL,
    updated INTEGER NOT NULL,
    updated_by TEXT NOT NULL
) STRICT;

-- An empty operation is the upstream's own breaker.
CREATE TABLE breaker_overrides (
    upstream TEXT NOT NULL,
    operation TEXT NOT NULL,
    mode TEXT NOT NULL CHECK (mode IN ('forced_open', 'forced_closed', 'metrics_only')),
    reason TEXT NOT NULL,
    expires INTEGER,
    set_at INTEGER NOT NULL,
    set_by TEXT NOT NULL,
    PRIMARY KEY (upstream, operation)
) STRICT;

CREATE TABLE audit (
    id BLOB PRIMARY KEY,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    actor_id BLOB,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    details TEXT NOT NULL CHECK (json_valid(details)),
    address TEXT,
    request TEXT
) STRICT;
CREATE INDEX audit_actor ON audit (actor, id);
CREATE INDEX audit_action ON audit (action, id);
CREATE INDEX audit_target ON audit (target, id);
