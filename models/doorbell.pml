/*
 * The doorbell protocol: publish, notify, sleep, ring, credit. Words and reasons: docs/doorbell-protocol.md.
 * Checked, with its mutations, by scripts/model.mjs.
 *
 * Writers publish for ever or stop at any moment, so traffic of every length is covered. Each load and each store
 * of a shared word is one step and the steps of all loops interleave: sequential consistency. A store that nobody
 * looks at before the next store (bytes before `produced`, an entry before `notifyProduced`) shares its step.
 * The epoch is a counter that never comes round: all that a writer asks is whether it last rang in this epoch,
 * so the model keeps that one bit per link.
 */

#ifndef WRITERS
#define WRITERS 1
#endif
#ifndef CONNECTIONS
#define CONNECTIONS 1 /* per writer; at most two connections in all */
#endif
#ifndef RING_BYTES
#define RING_BYTES 1 /* of connection 0; any other connection has a ring of one byte */
#endif
#ifndef NOTIFY_MODULUS
#define NOTIFY_MODULUS (2 * SLOTS) /* where notifyProduced and notifyConsumed wrap */
#endif
/* READY_CREDIT: a writer waits for room without a word, where credit is not the question. */
#ifndef OTHER_EVENTS
#define OTHER_EVENTS 1 /* wake-ups that have nothing to do with the doorbell: timers, other handles */
#endif

/* Mutations: each breaks one rule, and the checker must notice. */
#define NO_RECHECK 1
#define RECHECK_BEFORE_SLEEPING 2
#define NOTIFY_CONSUMED_LATE 3
#define SLEEPING_BEFORE_NOTIFY 4
#define SAME_EPOCH 5
#define PENDING_BEFORE_PRODUCED 6
#define PENDING_BY_POSITION 7
#define NO_BLOCKED_RECHECK 8
#define BLOCKED_BEFORE_CONSUMED 9
#define UNBLOCK_WITHOUT_RETRY 10

#define ALL (WRITERS * CONNECTIONS)
#define SLOTS CONNECTIONS /* of a notification ring: one per connection is enough */
#define READER WRITERS /* loops 0 to WRITERS - 1 write, the last one reads */
#define NONE 255

#define next(cursor, modulus) ((cursor + 1) % modulus)
#define distance(from, to, modulus) ((to + modulus - from) % modulus)

typedef Loop {
  bit sleeping; /* status page, stored by the loop that owns it */
  bit doorbell /* eventfd: zero or not is all that a loop can tell */
}

typedef Link {
  byte notifyProduced; /* stored by the sending loop */
  byte entry[SLOTS];
  byte notifyConsumed; /* stored by the receiving loop */
  byte notifyPos[ALL]; /* private to the sending loop */
  bit rungThisEpoch /* the epoch that the link last rang for equals the receiver's epoch */
}

typedef Connection {
  byte produced; /* stored by the writer */
  bit blocked;
  byte ring[RING_BYTES];
  byte consumed /* stored by the reader */
}

Loop loop[WRITERS + 1];
Link link[WRITERS * 2]; /* first the links to the reader, then the links that carry credit back */
Connection connection[ALL];

bit waiting[ALL]; /* private to the writer: waits for credit */
byte finished; /* writers that have stopped */
byte otherEvents = OTHER_EVENTS;
byte processing = NONE; /* the connection that the reader is at; for the properties only */

#define writerOf(c) (c / CONNECTIONS)
#define firstOf(w) (w * CONNECTIONS)
#define lastOf(w) (w * CONNECTIONS + CONNECTIONS - 1)
#define dataLink(c) writerOf(c)
#define creditLink(c) (WRITERS + writerOf(c))
#define unread(c) (connection[c].produced != connection[c].consumed)
#define ringBytes(c) (c == 0 -> RING_BYTES : 1)
#define modulus(c) (2 * ringBytes(c)) /* where produced and consumed wrap */
#define used(c) distance(connection[c].consumed, connection[c].produced, modulus(c))
#define hasRoom(c) (used(c) < ringBytes(c))
#define outstanding(k) distance(link[k].notifyConsumed, link[k].notifyProduced, NOTIFY_MODULUS)

#if MUTATION == PENDING_BY_POSITION
#define isPending(k, c) \
  (link[k].notifyPos[c] != NONE && \
   distance(link[k].notifyConsumed, link[k].notifyPos[c], NOTIFY_MODULUS) < NOTIFY_MODULUS / 2)
#else
#define isPending(k, c) \
  (distance(link[k].notifyConsumed, link[k].notifyPos[c], NOTIFY_MODULUS) < outstanding(k) && \
   link[k].entry[link[k].notifyPos[c] % SLOTS] == c)
#endif

/* ---- Any loop, as the sender on link k to loop `to` ---- */

inline append(k, to, c) {
#if MUTATION == SLEEPING_BEFORE_NOTIFY
  seen = loop[to].sleeping;
#endif
  d_step {
    assert(outstanding(k) < SLOTS);
    link[k].entry[link[k].notifyProduced % SLOTS] = c;
    link[k].notifyPos[c] = link[k].notifyProduced;
    link[k].notifyProduced = next(link[k].notifyProduced, NOTIFY_MODULUS)
  };
  if
#if MUTATION == SLEEPING_BEFORE_NOTIFY
  :: seen ->
#else
  :: loop[to].sleeping ->
#endif
    if
    :: d_step { !link[k].rungThisEpoch -> link[k].rungThisEpoch = 1 }; loop[to].doorbell = 1
    :: else
    fi
  :: else
  fi
}

inline notify(k, to, c) {
  if
  :: isPending(k, c) /* neither append nor ring */
  :: else -> append(k, to, c)
  fi
}

/* ---- Any loop, as the receiver on links low to high ---- */

inline nextEpoch(low, high) {
  d_step {
#if MUTATION != SAME_EPOCH
    for (l : low .. high) { link[l].rungThisEpoch = 0 }
#endif
    l = low
  }
}

inline lookAtLinks(high) {
  do
  :: d_step { l <= high && outstanding(l) == 0 -> l++ }
  :: l > high || outstanding(l) != 0 -> break
  od
}

/* Breaks out of the loop around it when mayEnd holds: asleep, and nothing is left that should wake it. */
inline sleep(me, low, high, mayEnd) {
  nextEpoch(low, high);
#if MUTATION == RECHECK_BEFORE_SLEEPING
  lookAtLinks(high);
  loop[me].sleeping = 1;
#elif MUTATION == NO_RECHECK
  loop[me].sleeping = 1;
  l = high + 1;
#else
  loop[me].sleeping = 1;
  lookAtLinks(high);
#endif
  if
  :: l > high ->
    if
    :: loop[me].doorbell -> loop[me].doorbell = 0
    :: d_step { otherEvents > 0 -> otherEvents-- }
    :: mayEnd -> break
    fi
  :: else
  fi;
  d_step {
    loop[me].sleeping = 0;
    l = 0
  }
}

/* ---- The reader ---- */

inline giveCredit(c) {
  notify(creditLink(c), writerOf(c), c)
}

inline consume(c) {
  d_step {
    limit = connection[c].produced;
    processing = c;
    assert(distance(connection[c].consumed, limit, modulus(c)) <= ringBytes(c))
  };
#if MUTATION == BLOCKED_BEFORE_CONSUMED
  seen = connection[c].blocked;
#endif
  d_step {
    do
    :: connection[c].consumed != limit ->
      assert(connection[c].ring[connection[c].consumed % ringBytes(c)] == connection[c].consumed);
      connection[c].consumed = next(connection[c].consumed, modulus(c))
    :: else -> break
    od;
    limit = 0
  };
#ifndef READY_CREDIT
  if
#if MUTATION == BLOCKED_BEFORE_CONSUMED
  :: seen -> giveCredit(c)
#else
  :: connection[c].blocked -> giveCredit(c)
#endif
  :: else
  fi;
#endif
  processing = NONE
}

inline drain(k) {
  until = link[k].notifyProduced;
  do
#if MUTATION == NOTIFY_CONSUMED_LATE
  :: link[k].notifyConsumed != until ->
    id = link[k].entry[link[k].notifyConsumed % SLOTS];
    consume(id);
    link[k].notifyConsumed = next(link[k].notifyConsumed, NOTIFY_MODULUS)
#else
  :: d_step {
      link[k].notifyConsumed != until ->
      id = link[k].entry[link[k].notifyConsumed % SLOTS];
      link[k].notifyConsumed = next(link[k].notifyConsumed, NOTIFY_MODULUS)
    };
    consume(id)
#endif
  :: d_step { link[k].notifyConsumed == until -> until = 0; id = 0 }; break
  od
}

active proctype reader() {
  byte from, l, until, id, limit;
  bit seen;
  do
  :: from < WRITERS -> drain(from); from++
  :: d_step { from == WRITERS -> from = 0 };
    if
    :: true /* spin: look again without sleeping */
    :: sleep(READER, 0, WRITERS - 1, finished == WRITERS && !unread(0) && !unread(ALL - 1))
    fi
  od
}

/* ---- A writer ---- */

inline storeProduced(c) {
  d_step {
    assert(hasRoom(c));
    connection[c].ring[connection[c].produced % ringBytes(c)] = connection[c].produced;
    connection[c].produced = next(connection[c].produced, modulus(c))
  }
}

inline publish(c) {
#if MUTATION == PENDING_BEFORE_PRODUCED
  seen = isPending(dataLink(c), c);
  storeProduced(c);
  if
  :: seen
  :: else -> append(dataLink(c), READER, c)
  fi
#else
  storeProduced(c);
  notify(dataLink(c), READER, c)
#endif
}

inline write(c) {
  if
  :: hasRoom(c) -> publish(c)
#ifndef READY_CREDIT
  :: else ->
    connection[c].blocked = 1;
#if MUTATION == NO_BLOCKED_RECHECK
    waiting[c] = 1
#else
    if
    :: hasRoom(c) -> connection[c].blocked = 0
    :: else -> waiting[c] = 1
    fi
#endif
#endif
  fi
}

inline takeCredit(k) {
  until = link[k].notifyProduced;
  do
  :: d_step {
      link[k].notifyConsumed != until ->
      id = link[k].entry[link[k].notifyConsumed % SLOTS];
      link[k].notifyConsumed = next(link[k].notifyConsumed, NOTIFY_MODULUS)
    };
    d_step {
      connection[id].blocked = 0;
      waiting[id] = 0
    }
  :: d_step { link[k].notifyConsumed == until -> until = 0; id = 0 }; break
  od
}

proctype writer(byte me) {
  byte l, until, id, c;
  bit seen;
  do
  :: takeCredit(WRITERS + me);
    if
    :: d_step { !waiting[firstOf(me)] -> c = firstOf(me) }; write(c)
#if CONNECTIONS > 1
    :: d_step { !waiting[lastOf(me)] -> c = lastOf(me) }; write(c)
#endif
    :: waiting[firstOf(me)] || waiting[lastOf(me)] ->
      sleep(me, WRITERS + me, WRITERS + me, false)
#if MUTATION == UNBLOCK_WITHOUT_RETRY
      ;
      connection[firstOf(me)].blocked = 0;
      connection[lastOf(me)].blocked = 0
#endif
    :: !waiting[firstOf(me)] && !waiting[lastOf(me)] -> break
    fi
  od;
  finished++
}

init {
  byte i, c;
  atomic {
    for (c : 0 .. ALL - 1) {
      for (i : 0 .. RING_BYTES - 1) { connection[c].ring[i] = NONE }
    }
#if MUTATION == PENDING_BY_POSITION
    for (i : 0 .. WRITERS * 2 - 1) {
      for (c : 0 .. ALL - 1) { link[i].notifyPos[c] = NONE }
    }
#endif
    for (i : 0 .. WRITERS - 1) { run writer(i) }
    i = 0;
    c = 0
  }
}

/* Bytes published are noticed, whatever the other connections do. */
ltl heard { [] (unread(0) -> <> (processing == 0)) }

/* A writer that waits for credit gets it. */
ltl credited { [] (waiting[0] -> <> !waiting[0]) }
