// Where a sum is reached in the order of shaders/sample/arithmetic.h, without sorting: the 32 bits of the rank and,
// among equals, the 24 bits of the id are decided eight at a time, from a histogram of those that agree so far. The
// whole workgroup takes part and must be in uniform control flow. Before it is included: uint n_elements(),
// element_rank(i), element_id(i); best and rate for weight_of. Call it from one place only: compilers inline functions
// at every call. Loops are not unrolled for the same reason.
const uint kCount = 0, kHead = 1, kDraw = 2;  // what is summed: 1 each; weights at temperature 1; weights at the temperature
const uint kAnyId = 0xFFFFFFFFu;

// A head of the order: what ranks higher, and of equal rank the ids up to this one.
struct Cut {
    uint rank;
    uint id;
};

struct Search {
    uint what;   // is summed
    Cut cut;     // over what this keeps
    uvec2 left;  // still to be reached, below what was passed; > 0
    uint level;  // 0 to 3: by a byte of the rank; 4 to 6: by a byte of the id
    Cut head;    // what was decided so far; at the end: up to the element that reaches the sum
};
const uint kMore = 0, kReached = 1, kNotReached = 2;

// Weights in three limbs of at most 11 bits, so that sums over 2^20 elements fit.
shared uint bins[3 * 256];
shared uvec2 group_sums[16];  // of 16 bins each

uvec2 bin_sum(uint bin) {
    const uint middle = bins[256 + bin], high = bins[512 + bin];
    return add64(uvec2(bins[bin], 0), add64(uvec2(middle << 11, middle >> 21), uvec2(high << 22, high >> 10)));
}

void fill_bins(Search s) {
    const uint lane = gl_LocalInvocationID.x, lanes = gl_WorkGroupSize.x;
    barrier();  // no invocation reads the earlier bins any more
    for (uint b = lane; b < 3 * 256; b += lanes) bins[b] = 0;
    barrier();
    const uint n = n_elements(), octaves = s.level % 4;
    const uint rank_digit = 24 - 8 * octaves, id_digit = 16 - 8 * octaves;
    const float amount_rate = s.what == kHead ? kOctavesPerUnit : rate;
    [[dont_unroll]] for (uint i = lane; i < n; i += lanes) {
        const uint r = element_rank(i), e = element_id(i);
        bool in_bins = r > s.cut.rank || (r == s.cut.rank && e <= s.cut.id);
        uint digit, amount = 1;
        if (s.level < 4) {
            in_bins = in_bins && (s.level == 0 || r >> (rank_digit + 8) == s.head.rank);
            digit = (r >> rank_digit) & 255u;
            if (in_bins && s.what != kCount) amount = weight_of(r, best, amount_rate);
        } else {
            in_bins = in_bins && r == s.head.rank && (s.level == 4 || e >> (id_digit + 8) == s.head.id);
            digit = 255u - ((e >> id_digit) & 255u);
        }
        if (!in_bins || amount == 0) continue;
        atomicAdd(bins[digit], amount & 2047u);
        if (amount < 2048u) continue;
        atomicAdd(bins[256 + digit], (amount >> 11) & 2047u);
        atomicAdd(bins[512 + digit], amount >> 22);
    }
    barrier();
    for (uint g = lane; g < 16; g += lanes) {
        uvec2 sum = uvec2(0);
        [[dont_unroll]] for (uint b = 0; b < 16; ++b) sum = add64(sum, bin_sum(16 * g + b));
        group_sums[g] = sum;
    }
    barrier();
}

// At level 0: the sum over all that the cut keeps.
uvec2 sum_of_bins() {
    uvec2 sum = uvec2(0);
    [[dont_unroll]] for (uint g = 0; g < 16; ++g) sum = add64(sum, group_sums[g]);
    return sum;
}

// The highest bin at which the sum from above reaches `left`, or 256; what the bins above it have is taken from `left`.
uint walk_bins(inout uvec2 left) {
    uint g = 16;
    [[dont_unroll]] while (g > 0 && less64(group_sums[g - 1], left)) left = sub64(left, group_sums[--g]);
    if (g == 0) return 256;
    uint bin = 16 * g;
    [[dont_unroll]] while (less64(bin_sum(bin - 1), left)) left = sub64(left, bin_sum(--bin));
    return bin - 1;
}

// The smallest number of equals of this amount that sum to at least left.
uint equals_for(uvec2 left, uint amount) {
    uint low = 0, high = 1u << 20;
    [[dont_unroll]] while (high - low > 1) {
        const uint middle = (low + high) / 2;
        if (less64(mul64(middle, amount), left)) low = middle;
        else high = middle;
    }
    return high;
}

// Decides one byte more from the bins. `exact`: the id of the element also when every equal belongs to the head.
uint advance(inout Search s, bool exact) {
    const uint bin = walk_bins(s.left);
    if (bin == 256) return kNotReached;
    ++s.level;
    if (s.level <= 4) s.head.rank = (s.head.rank << 8) | bin;
    else s.head.id = (s.head.id << 8) | (255u - bin);
    if (s.level < 4) return kMore;
    if (s.level == 4) {
        const uint amount = s.what == kCount ? 1u : weight_of(s.head.rank, best, s.what == kHead ? kOctavesPerUnit : rate);
        const uint wanted = equals_for(s.left, amount);
        if (!exact && mul64(wanted, amount) == bin_sum(bin)) {
            s.head.id = s.head.rank == s.cut.rank ? s.cut.id : kAnyId;
            return kReached;
        }
        s.left = uvec2(wanted, 0);
    }
    return s.level == 7 ? kReached : kMore;
}
