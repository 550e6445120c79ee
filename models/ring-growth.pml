/*
 * The handover of a connection to another ring. Words and reasons: docs/doorbell-protocol.md.
 * Checked, with its mutations, by scripts/model.mjs.
 *
 * Wake-ups are left out (doorbell.pml has them): the reader looks whenever there are bytes, the writer goes on
 * whenever there is room. Rings of one and two bytes take turns so that the model can switch for ever; nothing in
 * the protocol depends on the new ring being the larger one.
 */

#define MODULUS 4 /* of the cursors; above the bytes of two rings together */
#define GENERATIONS 4 /* where ringGen wraps */
#define AREAS 3 /* memory for rings; a freed area is used again */
#define AREA_BYTES 2
#define NONE 255

/* Mutations: each breaks one rule, and the checker must notice. */
#define NO_ADOPTED_CHECK 1
#define FREE_BEFORE_ADOPTED 2
#define ADOPT_BEFORE_CONSUMED 3
#define RING_GEN_BEFORE_FIELDS 4
#define PRODUCED_BEFORE_RING_GEN 5
#define RING_GEN_LOADED_BEFORE_PRODUCED 6

#define next(cursor, modulus) ((cursor + 1) % modulus)
#define distance(from, to) ((to + MODULUS - from) % MODULUS)

typedef Area {
  byte content[AREA_BYTES]; /* NONE where there is no unread byte */
  bit allocated; /* this and the rest: for the assertions only */
  byte bytes;
  byte start;
  byte gen
}

/* Stored by the writer. */
byte produced, ringId, ringBytes = 1, ringStart, ringGen;
Area area[AREAS];

/* Stored by the reader. */
byte consumed, adoptedGen;

bit stopped; /* for the reader to end */

/* ---- The writer ---- */

inline storeByte() {
  d_step {
    assert(area[id].allocated && area[id].content[produced % bytes] == NONE);
    area[id].content[produced % bytes] = produced;
    produced = next(produced, MODULUS)
  }
}

inline publish() {
  if /* until the reader has adopted this ring, what it has consumed since was in another one */
  :: adoptedGen == ringGen -> from = consumed
  :: adoptedGen != ringGen -> from = ringStart
  fi;
  if
  :: distance(from, produced) < bytes -> storeByte()
  :: else
  fi;
  from = 0
}

inline allocate() {
  d_step {
    id = 0;
    do
    :: area[id].allocated -> id++
    :: else -> break
    od;
    bytes = 3 - bytes;
    start = produced;
    area[id].allocated = 1;
    area[id].bytes = bytes;
    area[id].start = start;
    area[id].gen = next(ringGen, GENERATIONS)
  }
}

inline storeFields() {
  ringId = id;
  ringBytes = bytes;
  ringStart = start
}

inline storeGen() {
  ringGen = next(ringGen, GENERATIONS)
}

inline switchRing() {
  allocate();
#if MUTATION == RING_GEN_BEFORE_FIELDS
  storeGen();
  storeFields();
#elif MUTATION == PRODUCED_BEFORE_RING_GEN
  storeFields();
  storeByte();
  storeGen();
#else
  storeFields();
  storeGen();
#endif
  start = 0
}

inline freeOthers() {
  d_step {
    for (other : 0 .. AREAS - 1) {
      if
      :: other != id ->
        area[other].allocated = 0;
        area[other].bytes = 0;
        area[other].start = 0;
        area[other].gen = 0;
        area[other].content[0] = NONE;
        area[other].content[1] = NONE
      :: else
      fi
    }
    other = 0
  }
}

#define oneFree (!area[0].allocated || !area[1].allocated || !area[2].allocated)

active proctype writer() {
  byte id, bytes = 1, start, from, other;
  freeOthers();
  area[0].content[0] = NONE;
  area[0].allocated = 1;
  do
  :: publish()
#if MUTATION == NO_ADOPTED_CHECK
  :: oneFree -> switchRing()
#else
  :: adoptedGen == ringGen && oneFree -> switchRing()
#endif
#if MUTATION == FREE_BEFORE_ADOPTED
  :: freeOthers()
#else
  :: adoptedGen == ringGen -> freeOthers()
#endif
  :: break
  od;
  stopped = 1
}

/* ---- The reader ---- */

/* Copies bytes out of its ring until `at` reaches either cursor. */
inline copyUpTo(one, other) {
  do
  :: d_step {
      at != one && at != other ->
      assert(area[id].allocated);
      assert(area[id].content[at % bytes] == at);
      area[id].content[at % bytes] = NONE;
      at = next(at, MODULUS)
    }
  :: at == one || at == other -> break
  od
}

inline loadAnnouncement() {
  newId = ringId;
  newBytes = ringBytes;
  start = ringStart;
  assert(area[newId].gen == gen && area[newId].bytes == newBytes && area[newId].start == start)
}

inline adopt() {
  d_step {
    id = newId;
    bytes = newBytes;
    myGen = gen
  };
  adoptedGen = gen
}

active proctype reader() {
  byte id, bytes = 1, myGen, gen, newId, newBytes, start, limit, at;
  do
  :: produced != at ->
#if MUTATION == RING_GEN_LOADED_BEFORE_PRODUCED
    gen = ringGen;
    limit = produced;
#else
    limit = produced;
    gen = ringGen;
#endif
    if
    :: gen != myGen ->
      loadAnnouncement();
#if MUTATION == ADOPT_BEFORE_CONSUMED
      adopt();
      copyUpTo(limit, limit);
      consumed = at
#else
      copyUpTo(limit, start);
      consumed = at;
      if
      :: at == start ->
        adopt();
        copyUpTo(limit, limit);
        consumed = at
      :: else
      fi
#endif
    :: else ->
      copyUpTo(limit, limit);
      consumed = at
    fi;
    d_step {
      gen = 0;
      newId = 0;
      newBytes = 0;
      start = 0;
      limit = 0
    }
  :: stopped && produced == at -> break
  od
}
