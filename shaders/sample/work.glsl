// Where things lie in a row's work area (push/sample.h), and 64-bit sums: x is the low word.
#include "shaders/push/sample.h"
#include "shaders/sample/arithmetic.h"

uint work_base(uint row) { return pc.work_at + row * pc.work_stride; }
uint class_at(uint i) { return 4u + i; }
uint sums_at(uint group) { return 4u + pc.n_classes + 4u * group; }
uint gathered_rank_at(uint i) { return sums_at(pc.n_groups) + i; }
uint gathered_id_at(uint i) { return sums_at(pc.n_groups) + pc.capacity + i; }
const uint kGatheredCount = 0u;  // may be above the capacity: then what was gathered is not all
const uint kGatheredFrom = 1u;   // every id of this rank or a higher one was gathered

// 0: all
uint top_k_of(uint param_top_k) { return param_top_k < pc.n_vocab ? param_top_k : 0u; }

uvec2 add64(uvec2 a, uvec2 b) {
    uint carry;
    const uint low = uaddCarry(a.x, b.x, carry);
    return uvec2(low, a.y + b.y + carry);
}
uvec2 sub64(uvec2 a, uvec2 b) { return uvec2(a.x - b.x, a.y - b.y - (a.x < b.x ? 1u : 0u)); }
bool less64(uvec2 a, uvec2 b) { return a.y < b.y || (a.y == b.y && a.x < b.x); }
// a * b; the product fits 64 bits.
uvec2 mul64(uint a, uint b) {
    uint high, low;
    umulExtended(a, b, high, low);
    return uvec2(low, high);
}
