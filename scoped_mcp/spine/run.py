"""The one path. Every read and every write of the house goes along it, whoever asks.

`Spine.run(command, token)` does, in this order:

    0  parse       raw arguments → command; what does not parse is traced, never its value
    0  prepare     slow pure work, on a snapshot and in another process (ruling 17)
    1  authenticate  token → caller, read in this transaction
    2  authorise   every id of the command: enough access, or `not_found` / `denied`; then the rules
    3  guard       guards that extensions hang here may refuse
    4  do          the handler
    5  version & register   within `tx.put`: registry row, immutable version, state row
    6  follow      within `tx.put`: derived tables of the same transaction
    7  trace       one entry naming every change, chained to the entry before
    8  publish     events into the outbox
    9  commit, then the lens: redaction of the view for this caller

Steps 1 to 8 are one transaction. A *refusal*, a `ScopedError` of the path or the handler, is the
exception: what the handler did is undone, the refusal is traced and committed, and then raised. A
*failure*, of the database or by a bug, leaves nothing of the transaction; a second one traces it.

Two detours: a call repeated with its idempotency key is answered after 2, without its handler
(`repeat`); a `pooled` operation, a long read, does 1 to 6 on a snapshot and is traced in order.

What is asked of `ports` the rooms above hang in there; `ports.py` says which. A "ruling" is a hard
case as the design decided it; the words before its number are the decision.
"""

from __future__ import annotations

import hmac
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from scoped_mcp.kernel.clock import SystemClock, stamp
from scoped_mcp.kernel.errors import Code, InternalError, ScopedError, UnauthenticatedError, outline
from scoped_mcp.kernel.ids import PrincipalId
from scoped_mcp.spine import detours, parse, prepare, repeat, trace
from scoped_mcp.spine.authorise import UNKNOWN, authorise, home_of, owner_of, shown
from scoped_mcp.spine.caller import Caller, Origin
from scoped_mcp.spine.callers import Callers
from scoped_mcp.spine.context import Context, House, Record
from scoped_mcp.spine.declare import Command, Effect, Operation, View, operation_of
from scoped_mcp.spine.failures import Failures
from scoped_mcp.spine.outcome import Outcome
from scoped_mcp.spine.ports import ports
from scoped_mcp.spine.seen import LastSeen
from scoped_mcp.spine.steps import (
    forget,
    note_use,
    tell_of_strangers,
    tell_reach,
    the_house,
    told,
    unauthenticated,
)
from scoped_mcp.spine.timekeeper import Timekeeper
from scoped_mcp.spine.tx import ReadTx, WriteTx
from scoped_mcp.spine.work import UnpreparedError
from scoped_mcp.spine.workshop import Workshop

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from scoped_mcp.kernel.clock import Clock, Entropy
    from scoped_mcp.kernel.limits import Limits
    from scoped_mcp.spine.caller import Proof
    from scoped_mcp.spine.parse import Request
    from scoped_mcp.spine.trace import Head
    from scoped_mcp.storage.connection import Conn
    from scoped_mcp.storage.database import Database

V = TypeVar("V", bound=View)
T = TypeVar("T")
log = logging.getLogger("scoped_mcp")


class Spine:
    """The one path over one organisation's database."""

    def __init__(  # noqa: PLR0913 - everything from outside is handed in
        self,
        database: Database,
        *,
        house: House,
        secret: bytes,
        clock: Clock | None,
        entropy: Entropy,
        limits: Limits,
    ) -> None:
        self.database = database
        self.house = house
        self.limits = limits
        self.workshop = Workshop(limits.prepare_seconds)
        self._secret = secret
        self._clock = clock or SystemClock()
        self._entropy = entropy
        self._time = Timekeeper(self._clock, own=clock is not None)
        self._failures = Failures(limits.failures_a_minute)
        self._callers = Callers()
        self._seen = LastSeen()

    async def run(self, command: Command[V], token: Proof, origin: Origin | None = None) -> V:
        """Do what the command asks, as whom the token says.

        Raises:
            ScopedError: it was refused; the refusal stands in the trail.
        """
        request = parse.of_command(command, token, origin or Origin(), self.limits)
        return cast("V", await self._answer(request))

    async def call(
        self, name: str, arguments: Mapping[str, Any], token: Proof, origin: Origin | None = None
    ) -> View:
        """The same by the name of an operation or tool, with JSON arguments: what faces use.

        Raises:
            ScopedError: it was refused; the refusal stands in the trail.
        """
        return await self._answer(
            parse.of_call(name, arguments, token, origin or Origin(), self.limits)
        )

    async def run_as_house(self, command: Command[V], face: str = "house") -> V:
        """Do what only the house does: found itself, register its kinds, recover an owner."""
        request = parse.of_command(command, None, Origin(face=face), self.limits)
        return cast("V", await self._answer(request))

    def turned_away(self, token: Proof, source: str) -> bool:
        """Whether a flood holds this very token: faces ask before they look at it at all."""
        return self._failures.flooded(token, source, self._clock.now())

    async def refused(self, token: Proof, origin: Origin) -> None:
        """Count a credential that a face turned away; trace it where a window begins."""
        if not self._failures.counted(token, origin.source, self._clock.now()):
            request = parse.of_call("whoami", {}, token, origin, self.limits)
            await self._ordered(request)

    async def alive(self) -> None:
        """Return once the database answers: for probes, which see nothing."""
        await self.database.read(lambda _conn: None)

    async def look(self, question: Callable[[ReadTx], T], token: Proof | None) -> T:
        """Ask something about the caller itself on a snapshot: faces' catalogues, not data.

        Without a token the house asks: whether there is work for its workers.

        Raises:
            UnauthenticatedError: the credential is missing, wrong, expired or revoked.
        """

        def ask(conn: Conn) -> T:
            context, _ = self._begin(conn)
            tx = ReadTx(context, UNKNOWN, self._record(context, None))
            if token is not None:
                if ports.authenticate is None:
                    raise unauthenticated()
                context.caller = ports.authenticate(tx, token)
            return question(tx)

        return await self.database.read(ask)

    def secret_for(self, purpose: bytes) -> bytes:
        """A secret of this house for one purpose of a face: the same in every process."""
        return hmac.digest(self._secret, purpose, "sha256")

    async def _answer(self, request: Request) -> View:
        if request.token is not None and self.turned_away(request.token, request.origin.source):
            raise unauthenticated()
        foreseen = partial(detours.foreseen, self)
        try:
            outcome = await prepare.through(request, foreseen, self._go, self.workshop)
        except ScopedError as error:  # not a refusal, which `_perform` returns: storage failed
            if error.code is Code.INTERNAL:
                log.error("operation failed: %s", outline(error))  # noqa: TRY400 - see `outline`
            if not error.elsewhere:
                await self._trace_failure(request, error)
            raise
        except Exception as error:
            log.error("operation failed: %s", outline(error))  # noqa: TRY400 - see `outline`
            failure = InternalError("something went wrong here; nothing was stored", retry=True)
            failure.hint = "try again; if it persists, give the operator the entry's id"
            await self._trace_failure(request, failure)
            raise failure from error
        if outcome.anew is not None and request.token is not None:  # and it is committed
            self._callers.keep(request.token, cast("Caller", outcome.caller), outcome.anew)
        if outcome.refusal is not None:
            tell_reach(outcome.refusal, outcome.caller)
            raise outcome.refusal
        return ports.lens(cast("View", outcome.view), cast("Caller", outcome.caller))  # 9

    async def _go(self, request: Request) -> Outcome:
        if request.operation is not None and request.operation.pooled:
            return await detours.pooled(self, request)
        if request.operation is not None and request.operation.quiet:
            return await detours.quietly(self, request)
        try:
            return await self._ordered(request)
        except UnpreparedError:
            self._seen.forget()  # what was noted went with the transaction
            raise

    async def _ordered(self, request: Request) -> Outcome:
        """In one transaction of its own, beside others where the operation may."""
        beside = request.operation is None or request.operation.beside
        return await self.database.write(partial(self._perform, request=request), beside=beside)

    async def _trace_failure(self, request: Request, failure: ScopedError) -> None:
        """A failure took its own trace with it: write one, if the database still can."""
        failed = parse.Request(request.token, request.origin, request.operation, None, b"", failure)
        try:
            await self._ordered(failed)
        except Exception as error:  # noqa: BLE001 - it is logged, and the failure itself is raised
            log.error("the failure could not be traced: %s", outline(error))  # noqa: TRY400 - same

    def _perform(self, conn: Conn, request: Request) -> Outcome:
        """Steps 1 to 8, on the database's thread, in one transaction."""
        context, head = self._begin(conn)
        tx = self._outermost(context, request)
        try:
            anew = self._authenticate(tx, request, head)  # 1
        except UnauthenticatedError as refusal:
            return self._unknown_caller(context, head, request, refusal)
        kept = len(tx.record.changes)  # a session that step 1 opened outlives a refusal
        conn.savepoint("step")
        try:
            view = self._requested(tx, request)  # 2 to 6
        except ScopedError as refusal:
            if refusal.elsewhere:  # nothing may be written here, a refusal neither
                raise
            conn.rollback("step")
            forget(context, tx.record, kept)
            trace.write(context, head, request.origin, refusal)  # 7
            refusal.entry = tx.record.public_id
            return Outcome(context.caller, refusal=refusal, anew=anew)
        conn.release("step")
        note_use(tx)
        for record in context.records:
            for statement, values in record.notes:
                tx.derive(statement, values)
        trace.write(context, head, request.origin, None)  # 7 and 8
        repeat.remember(tx, request, stamp(context.now))
        return Outcome(context.caller, view=view, anew=anew)

    def _begin(self, conn: Conn) -> tuple[Context, Head]:
        """Order is taken: read the clock, never behind the newest entry (ruling 55)."""
        head = trace.head_of(conn)
        now = self._time.now(head.at, conn.now)
        nobody = Caller(PrincipalId(self.house.principal), 0, "service", "house", house=True)
        context = Context(
            conn=conn,
            now=now,
            house=self.house,
            limits=self.limits,
            entropy=self._entropy,
            secret=self._secret,
            numbers=conn.numbers(head.number),
            perform=self._nested,
            caller=nobody,
        )
        conn.seen_by(partial(told, context))
        return context, head

    def _outermost(self, context: Context, request: Request) -> WriteTx:
        """The transaction of the operation that was asked for; `_nested` makes those within it."""
        record = self._record(context, request.operation)
        record.arguments = request.arguments
        context.origin, context.prepared = request.origin, dict(request.prepared)
        return WriteTx(context, request.operation or UNKNOWN, record)

    def _record(self, context: Context, operation: Operation | None) -> Record:
        name = UNKNOWN.name if operation is None else operation.name
        record = Record(name, next(context.numbers))
        context.records.append(record)
        return record

    def _authenticate(self, tx: WriteTx, request: Request, head: Head) -> int | None:
        """1: token → caller. The house has no token, and no token is the house's."""
        context = tx._context  # noqa: SLF001 - the spine fills in what handlers only read
        if request.token is None:
            key = tx.key(self.house.principal)
            context.caller = the_house(self.house, key or 0)
            if ports.standing is not None:
                ports.standing(tx)
            return None
        context.caller, anew = self._callers.enter(tx, request, head.authority)
        self._seen.note(tx)
        return anew

    def _requested(self, tx: WriteTx, request: Request) -> View:
        """2 to 6 for the operation that was asked for, if it exists for the caller."""
        operation = request.operation
        if operation is None:
            raise request.refusal or parse.unknown(request)
        if not shown(operation, tx.caller):
            raise parse.unknown(request)
        if request.refusal is not None:
            tx.record.asked = {} if request.field is None else {"field": request.field}
            raise request.refusal
        command = cast("Command[Any]", request.command)
        authorise(tx, operation, command)  # 2
        repeated = repeat.find(tx, request)
        return repeated if repeated is not None else self._do(tx, operation, command)

    def _do(self, tx: WriteTx, operation: Operation, command: Command[Any]) -> View:
        """3 to 6, for what was asked for and for what is nested in it."""
        for guard in ports.guards:  # 3
            guard(tx, operation, command)
        reading = operation.effect is Effect.READ
        mark = len(tx.record.events)
        own = ReadTx(tx._context, operation, tx.record) if reading else tx  # noqa: SLF001 - see above
        view = operation.handler(command, own)  # 4, and within it 5 and 6
        if tx.record.target is None and len(tx.record.events) > mark:  # what it made is its target
            tx.record.target = tx.record.events[mark][1]
            tx.record.owner = owner_of(tx, tx.record.target)
            tx.record.scope = tx.record.scope or home_of(tx, tx.record.target)
        return view

    def _nested(self, outer: WriteTx, command: Command[Any], targets: frozenset[str]) -> View:
        """An operation within an operation: the same path, the same caller, its own entry.

        Where it declares an authority, it acts in that on the targets it is given (ruling 12).
        """
        operation = operation_of(type(command))
        context = outer._context  # noqa: SLF001 - see above
        if not operation.beside:
            outer.alone()
        record = self._record(context, operation)
        record.parent = context.name(outer.record)
        if operation.authority is not None:
            record.under, record.targets = operation.authority, targets
        inner = WriteTx(context, operation, record)
        authorise(inner, operation, command)  # 2
        return self._do(inner, operation, command)

    def _unknown_caller(
        self, context: Context, head: Head, request: Request, refusal: UnauthenticatedError
    ) -> Outcome:
        """Failed authentication is counted; one entry a window, by the house (ruling 51)."""
        token, source, counted = request.token, request.origin.source, request.counted
        if not counted:
            counted.append(self._failures.count(token, source, context.now))
        if counted[0]:
            tell_of_strangers(context, counted[0], source)
            trace.write(context, head, Origin(face=request.origin.face), refusal)
        return Outcome(None, refusal=refusal)
