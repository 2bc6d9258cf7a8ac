"""Every promise that concerns what is built: its id, its sentence, where it is made, who proves it.

    @promise("identity.enrolment")
    async def test_nobody_issues_for_who_has_authenticated(...):

Below, `== ruling 1` names where the promises under it are made: a ruling, a section of layers.md
(`hard` are its hard cases) or a heading of the README. A promise without a test says why it has
none: `--` and the reason. tests/house/test_promises.py holds the list against the tests.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

TABLE = """
== README: What is promised
readme.registration    nothing exists without registration
readme.identity        nothing happens without identity
readme.private         nothing is shared by default
readme.trace           nothing happens without a trace
readme.kept            nothing is truly deleted
readme.revocation      revocation is immediate
readme.versions        everything is versioned
readme.secrets         secrets never leak
readme.verify          `audit verify` names the first bad entry, whatever was done to it
readme.deny_wins       deny always wins  -- comes with its own room, as the README says
readme.rollback        everything is rollbackable  -- comes with its own room, as the README says

== README: One request, end to end
path.whole             steps 1 to 8 are one transaction: a failure leaves nothing of the others
path.refusals          a refusal is undone, then traced, committed and raised
path.reads             reads take the same path: a read is an action and leaves a trace
path.lost_race         at another version: `conflict`, with who, when, and the next call to make
path.hidden            what the caller cannot see answers `not_found`, as what does not exist

== README: Who may do what
readme.toolsets        a tool outside a credential's toolsets answers as if it did not exist
readme.core            an issued token holds `core` unless told otherwise; the first one holds all
readme.root            no role, root owner included, opens the private data of another
readme.jwt             JWTs of the configured issuer are accepted for who is linked to it

== README: Following resources
subscription.told      what changed is told by its address alone, and only where the answer changed
subscription.unseen    nothing is told of what the caller may not see
subscription.read      subscribing is a read: the same rights, and one answer for what is not there
subscription.gone      what is gone is told once, however it went, and then never more
subscription.entries   one entry opens a subscription and one ends it; looks leave none
subscription.trail     the trail can be followed, and following it is not in it
subscription.time      what use alone moves is not told, what time ends is
subscription.limit     so many a credential and no more: `limited`, naming the limit
subscription.company   what one process changes is told by another
subscription.stop      `serve` ends in time with streams open, and they end in order
subscription.load      many changes are one notification; many subscribers cost no growing memory

== README: The command line
cli.json               `--json` everywhere; exit codes: 0 done, 1 refused or failed, 2 wrong usage
cli.call               any operation, as the principal of the token; `-` reads standard input
cli.start              two commands: the demo tells and proves its story, the examples hold
readme.clients         real clients of both protocol eras work over both transports

== README: Limits
readme.limits          over a limit: `invalid`, naming it; nothing stored

== README: What is not promised
readme.copies          an older copy of the file is noticed  -- not promised: checkpoints come later
readme.timing          timing and sizes are isolated  -- not promised: answers are

== ruling 1
identity.enrolment     others issue a token or link only until a principal has authenticated once
identity.recovery      a recovery ends every credential and is shown to whom it concerns
identity.break_glass   `recover` wants the key file and a stopped server, and works without a token
identity.same_party    an agent's delegator counts as the same party
== ruling 2
session.one            a session is of one credential; what a client declares identifies nothing
session.revoke         revoking a session revokes its credential and what was delegated from it
== ruling 3
environment.current    the current environment is a convenience: a call that names one is untouched
== ruling 4
lifeline.alive         a credential is alive only while every one above it is
lifeline.expiry        its expiry is at most that of the one above
lifeline.number        at most fifty live delegates
lifeline.stop          `agent_stop` ends one's own delegate, and no other's
== ruling 5
attenuation.powers     toolsets, read-only and expiry are within the delegating credential's
attenuation.places     a delegate's role counts at most as high as its delegator's at that moment
attenuation.kept       what a delegate made it keeps
attenuation.fall       what an ended delegate owns belongs to the nearest live delegator
attenuation.faces      these limits hold for resources and completions too
attenuation.pinned     a pinned credential sees its environment alone, and delegates pinned ones
attenuation.rewritten  the owner's column is rewritten later, and nobody sees a difference
attenuation.many       who had hundreds of agents lists as before, and what they left
attenuation.single     one thing is not looked for among all that its agents ever left
== ruling 6
suspension.computed    suspension counts for all it answers for; resuming restores exactly that
suspension.users       users do not answer for users
suspension.last        the last active root owner stays
== ruling 7
agents.who             an agent is one, and whoever has one between it and the first user
agents.make            agents create and enrol agents only
== ruling 8
names.unique           a principal's name is unique and chosen by admins
names.delegates        a delegate's name begins with its delegator's
names.known            id, name and kind of active principals are known; only admins list them
names.leave            who added one is in `whoami`; anyone may leave
== ruling 9
content.credentials    what has the shape of a credential is neither stored nor repeated
== ruling 10
external.mapping       the link is the credential: revoked, it opens nothing
== ruling 11
spine.ids              every id field of a command is mapped to an access, or it fails at import
spine.foreign          a foreign id in any field answers like an absent one
spine.put              `put` raises beyond the access that was declared
== ruling 12
spine.nested           a nested operation takes the same path, with an entry that names its parent
spine.authority        whoever declares an authority of its own is on a list
== ruling 13
guards.results         limits hold for the resulting state, whatever made it
== ruling 14
spine.final            handlers do not catch refusals
spine.followers        followers are derived tables  -- nothing follows before search, extension A6
== ruling 15
lens.masks             what is masked is decided at step 2  -- comes with redaction, extension A3
== ruling 16
parse.traced           what does not parse is traced with field and code, never the value
== ruling 17
slow.arrays            an array over 2,000 items is one value in a diff
slow.prepare           slow work is prepared before step 1, on a snapshot, in another process
slow.nobody_waits      while two documents of 1 MiB are compared or merged, others' calls go on
slow.moved             what was prepared of other versions counts for nothing
slow.budget            preparing beyond its budget is refused, names the limit, and stores nothing
slow.ended             who leaves ends its work; a killed process is replaced; closing ends all
slow.diffs             two documents of any size are compared as deep as two small ones
slow.statements        a statement that takes too long is ended; nothing of its work is stored
== ruling 18
last_seen              last use is written once a minute, without version or trace
== ruling 19
repeat.once            the same call with the same key is done once in 24 hours
repeat.now             a repetition is answered as the caller may see it now
repeat.conflict        other arguments, or what showed a token, answer `conflict`
== ruling 20
spine.effects          every operation declares what it does and to what
== ruling 21
taking.works           frozen refuses what adds or widens, with all below; taking away always works
== ruling 22
rules.revocation       no rule forbids a revocation  -- comes with room 5
== ruling 23
temporal.back          rolling back is making the opposite change now  -- comes with room 7
== ruling 24
restore.dead           in a restored database every credential is dead, whatever it hangs on
restore.open           enrolment is open again: the first owner, who issues for users, they on
restore.before         a token, key or cursor from before the restore is of no use after it
restore.head           its first entry names the head it continues from, and verification checks it
restore.beside         a restored copy runs beside the original, and neither opens the other
== ruling 25
stream.again           a stream re-authorises at each event and at least every 15 s
stream.revoked         a token revoked by another process is told nothing more on an open stream
http.no_stream         HTTP keeps no stream but the one that looks at its credential again
== ruling 26
share.levels           READ, WRITE, ADMIN are what the table says, for every direct member
share.below            members of a scope below read
== ruling 27
share.since            a share shows the versions from the one current when it was made, as_of too
share.pinned           a pinned share shows exactly one version, to read
== ruling 28
import.access          an import gives nobody access
== ruling 29
rules.permit           a permit never exceeds what its author projected  -- comes with room 5
== ruling 30
inherited.lower        inherited roles freeze, archive, remove and lower
inherited.raise        they raise nobody, add nobody of their own, and unfreeze nothing
== ruling 31
scope.root             the root scope has no children and no projections
== ruling 32
publish.owner          published copies are owned by the scope
== ruling 33
transfer.accept        ownership changes hands when the receiver accepts; only the owner offers
transfer.last          an owner's place does not expire; the last owner stays
scope.adopt            a scope whose owners cannot act may get one, and its data stays closed
== ruling 34
views.ids              an id stands in a view only if the caller may see its target
views.nothing_more     worlds that differ in the invisible answer the same, byte for byte
== ruling 35
ids.shape              a prefix and 80 random bits in lower-case base 32, never trimmed or folded
== ruling 36
agents.scopes          agents bring into an agent's scope only its own side, its user others too
environment.agents     agents have no private space outside environments
== ruling 37
environment.closed     an environment's scope is closed
== ruling 38
environment.pending    a pending promotion stops the clock; the expired is revived for 7 days
== ruling 39
environment.discard    discard is one change, and ends the credentials that are pinned there
environment.over       discarded environments cost nothing any more
environment.thousand   of agents that ended, any number was pinned to an environment
== ruling 40
promotion.picture      an approval counts for its picture alone
== ruling 41
promotion.review       who may review: nobody of the requester's or the authors' side
== ruling 42
promotion.apply        applying checks again that requester and reviewers still may
== ruling 43
promotion.fork         a fork merges into an origin in the target, elsewhere it is new
== ruling 44
promotion.read         reviewers read while it is pending, and no longer
== ruling 45
promotion.merge        overlaps and deletions conflict
patch.null             `null` in a patch removes
== ruling 46
trail.asked            an entry shows what was asked to its actor, the target to who may see it
trail.outcomes         `denied` and `failed` are told apart by code
== ruling 47
trail.sponsors         a sponsor sees that its agent acted: no ids, names or text
trail.arguments        an argument is in the trail only where declared; digests of them are salted
== ruling 48
trail.positions        position and hashes are for auditors
== ruling 49
content.salt           content and salt go together, with an erasure, and only once
content.erase          `object.erase`  -- comes with room 7; the table stands
== ruling 50
trail.page             a page of the trail costs a page, however long it is
trail.reading          entries about reading the trail are left out unless asked for
trail.follow           a follow is one entry when opened, one when closed that says what it showed
follow.quiet           only an open follow of that very session looks, at what audit_list shows
follow.revoked         revocation, suspension, expiry and a lost role bite the very next look
follow.idle            a follow that nobody looks at ends, and is closed by the sweeper
follow.position        followed by position, no entry is missed or shown twice, whoever writes
== ruling 51
failures.counted       failed authentication is counted per source and minute: one entry a window
== ruling 52
verify.columns         every column of every row is recomputed; what was changed is named
verify.tail            a cut tail is named, unless the head was rewritten too
verify.outside         an older copy is named by a checkpoint outside  -- checkpoints come later
== house 6
postgres.commit        a commit whose answer is lost is done once, and answered
postgres.crash         after a crash of the server what nobody can know is said to be unknown
postgres.lost          cut connections and a restarted server cost no caller its call
postgres.again         deadlocks and races run again from their start, and end
postgres.timeouts      what takes or waits too long is ended, said, and leaves nothing
postgres.pool          few connections are shared among many callers
postgres.chaos         whatever dies under load: nothing acknowledged is lost, nothing is half done
postgres.cli           the program does on PostgreSQL what it does on SQLite, and tells no password
postgres.restored      a dump brought back begins an epoch; one without a guard or a wall is refused

== ruling 53
postgres.order         authority order on PostgreSQL: four processes of writers, and no late write
order.check            no write stands behind the revocation that should have stopped it
== ruling 54
reads.again            a pooled read is done again if a right changed or expired meanwhile
reads.remembered       a caller is remembered while the authority number stands and nothing runs out
== ruling 55
clock.order            time is never behind the newest entry; a jump over five minutes stops writing
== ruling 56
schema.revision        read in every transaction: older code stops, with the version to install
schema.alone           nothing migrates a file that another process has open
== ruling 57
embedded.said          `init` and `demo` say what the embedded default does not promise
embedded.files         files are their owner's alone
== ruling 58
batch.replay           a lost batch is replayed one by one: only the culprit fails
batch.cancelled        cancelled while queued is skipped, once started it commits
batch.exceptions       no exception hangs its caller
storage.changed        a commit of this or another process is told to who waits, and nothing of it
batch.company          several processes share a file; an old SQLite keeps the second one out
== ruling 59
numbers.kept           what JSON cannot keep exactly is invalid, with its path
numbers.bytes          canonical bytes are those of RFC 8785, and read back to the same bytes
numbers.once           duplicate keys are refused where we parse
== ruling 60
urn.parts              a URN names the thing, without a version, and is taken apart as put together
registry.restore       archived goes back to active by restoring alone
== ruling 61
database.state         state rows change only with version and entry, and never go
database.written       entries, versions and registry never change, never go
== ruling 62
authoriser.list        operations' connections allow what is listed and nothing else
migrations.guards      the triggers after every step up and down are the declared ones
== ruling 63
postgres.roles         the server acts as a role without power, and as none that has it
== ruling 64
rooms.doors            rooms are entered by their doors, lower numbers alone
environment.scope      an environment has a scope of its own and its owner's place in it
== ruling 65
sample.owner           every example runs for its owner
sample.stranger        for a stranger it answers as if nothing were there, with one entry
== ruling 66
eras.same              both eras and transports serve the same catalogue
eras.subscriptions     stdio in both eras and HTTP 2026-07-28 have subscriptions, and say so
== ruling 67
environment.states     the states of an environment and their legal moves
== ruling 68
cursors.bound          a cursor is bound to principal, operation and filters, and to the database
lists.once             what a page names is asked for once, however much it is
== ruling 69
rules.cedar            no decision denies  -- comes with room 5
== ruling 70
toolset.temporal       what undoes lives in the toolset `temporal`

== layers 1
registry.rows          every kind, operation and instance has a row
registry.lifecycle     legal moves only, traced, by admins
registry.lookup        looked up by urn, kind and registrant, filtered by what the caller may know
== layers 1 hard
registry.restart       the registry survives a restart with the same ids
registry.refused       a refused write leaves no registry row
registry.race          two that register at once
registry.never_again   an archived URN is never reused

== layers 2
identity.step_one      state is enforced for every operation and credential, in the transaction
identity.graph         relationships are versioned; hierarchical ones make no circle
identity.teams         a team that is a member gives its members that access
identity.external      audience, issuer and expiry are required; creation is a setting, off
== layers 2 hard
identity.wrong_tokens  a revoked, expired or foreign token
identity.suspended     a token whose principal was suspended one call ago
identity.spoofed       a spoofed session header, `_meta.client_id`, `X-User`
identity.flood         thousands of bad tokens a second; no oracle

== layers 3
objects.history        every change is an immutable version: history, any version, diff
objects.transfer       transfer needs the receiver's acceptance
objects.bulk           up to 200 in one transaction, all or none
== layers 3 hard
objects.deleted        deleted objects vanish for everyone but their owner, by every way
objects.not_json       data that is not JSON, too deep or too large is refused
objects.names          names with control characters or bidi overrides are refused

== layers 4
scopes.nest            scopes nest, at most twenty deep
scopes.members         one row a place, with history; expiry honoured to the second
scopes.grants          nobody grants or keeps more than they hold
scopes.sharing         only the owner shares, as a contributor; admins of the scope unshare
scopes.agree           `access()`, the list filter and the model agree
== layers 4 hard
scopes.revoked         revocation bites the very next call, also mid-list
scopes.streams         ... in open subscriptions
scopes.expiry          expiry passing between two calls
scopes.viewer          a viewer trying everything
scopes.archived        archived is invisible to members, with all below
scopes.deep            diamond and deep hierarchies

== layers 6
audit.entries          one entry per operation and per refusal
audit.sights           visible to actor, sponsors, admins and auditors of the scope, root auditors
audit.checkpoints      Merkle checkpoints and export  -- come in a later issue
== layers 6 hard
audit.edits            edits below the application, each named
audit.million          1,000,000 entries in bounded memory, each at the same cost
audit.processes        two processes appending
audit.failed           a failed audit write fails the operation

== layers 8
environments.first     an agent's first write spawns one, later ones stay there
environments.inside    nobody outside reads anything of the inside, root included
environments.imports   imports are pinned references; editing one forks it
environments.ttl       dead at its second, swept once by the house
environments.snapshots a restore is exact and whole; a tampered snapshot is refused
environments.templates an environment begins with what its template holds
== layers 8 hard
environments.suspended suspended: nobody adds or edits, taking away works
environments.race      a call racing with discard lands before or is refused
environments.pinned    a token pinned to one environment and an id from another
environments.constant  10,000 environments, 100,000 objects  -- tests/bench measures it

== layers 9
flow.channels          made by admins of the target; the list says what one may do; routes
flow.copy              a copy is published: later edits inside change nothing outside
flow.conflicts         a conflict is resolved path by path in a new request
flow.depends           stale when what was read while working moved
flow.checks            checks are recorded; a failed one ends it
flow.expiry            dead at its second, swept once
flow.revert            reverting brings back what was, and is itself revertible
flow.stages            an object is at one stage; moves obey order and approvals
== layers 9 hard
flow.races             approve and discard, two promotions to one target: one outcome each
flow.reviewer          a reviewer who loses the role between opening and approving
flow.forged            a forged approval
flow.whole             200 objects land together or, if the last fails, not at all

== issue 5: organisations
organisations.tokens    a token leads to the organisation that issued it; one from before, home
organisations.apart     nothing of one organisation is seen in another: ids, names, counts
organisations.oracle    a bad token is answered alike, whatever organisations there are
organisations.founded   an organisation founded elsewhere is served at once
organisations.suspended suspending an organisation bites the very next call of anybody in it
organisations.bounded   no more houses stay open than allowed, and none in use is closed
organisations.broken    a slow or broken organisation holds up no other; the next call tries again
organisations.directory the directory is traced, nobody's to see, and holds no password
organisations.swept     open houses are swept each time, the others in turn
organisations.moved     a move keeps all as it is: ids, versions, credentials, cursors, the chain
organisations.left      what an organisation left is closed, whatever copy of it is asked
organisations.killed    a move that dies at any step leaves one usable organisation, never two

== README: A second wall
walls.nobody           without a caller no table has rows, and nothing is put in
walls.forgetful        a query that forgets visibility finds what its caller may see
walls.agree            raw SQL finds on every walled table what lists and history show
walls.model            raw SQL finds the objects and versions that the reference model says
walls.migrations       walls stand after every step of the schema, up and down

== issue 3: faults
faults.disk            a full or read-only disk is named, loses nothing, and is survived
faults.files           a file replaced, cut or deleted under the server is named; nothing is lost
faults.killed          what was acknowledged outlives `kill -9`

== issue 5: backup
backup.online          a backup is the database at one moment, taken while servers write
backup.whole           it is at its place whole or not at all, its owner's alone, over nothing
restore.verified       a damaged or tampered backup is refused, named, and leaves nothing behind
restore.schema         a backup of an older schema is brought up, one of a newer is refused
backup.replica         a replica made of pages and WAL frames holds what was acknowledged
"""


@dataclass(frozen=True)
class Promise:
    """One promise.

    Attributes:
        sentence: What is promised.
        where: Where it is made.
        why_not: Why no test proves it; empty where one does.
    """

    sentence: str
    where: str
    why_not: str


def _read(table: str) -> dict[str, Promise]:
    found: dict[str, Promise] = {}
    where = ""
    for line in re.sub(r"\n +--", "  --", table).splitlines():
        if line.startswith("== "):
            where = line.removeprefix("== ")
        elif line:
            name, rest = line.split(maxsplit=1)
            sentence, _, reason = rest.partition("  -- ")
            assert name not in found, f"`{name}` stands twice"
            found[name] = Promise(sentence, where, reason)
    return found


PROMISES = _read(TABLE)


def promise(*names: str) -> pytest.MarkDecorator:
    """Say that a test proves these promises."""
    unknown = [name for name in names if name not in PROMISES]
    assert not unknown, f"nobody promises {unknown}"
    return pytest.mark.promise(*names)
