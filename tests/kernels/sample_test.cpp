// sample: the device chooses the token that the oracle chooses, to the last bit of every result word.
#include <limits>

#include "shaders/sample/arithmetic.h"
#include "tests/kernels/twin.h"

namespace atlas::test {
namespace {

using namespace sampling;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Rows of logits and all that belongs to them on one side, run again and again by one program.
class Rows {
  public:
    Rows(VkBackend& vk, uint32_t n_rows, uint32_t n_vocab, uint32_t n_history = 0)
        : logits(vk, Format::f32, n_rows, n_vocab),
          params(vk, Format::f32, 1, n_rows * kParamWords),
          history(vk, Format::f32, 1, kHistoryHead + n_history),
          tokens(vk, Format::f32, 1, n_rows),
          results(vk, Format::f32, 1, n_rows * kResultWords),
          vk_(vk),
          n_history_(n_history),
          words_(n_rows * kParamWords) {
        DryOps counted;
        counted.sample(logits.on(Side::host), tables(Side::host));
        EXPECT_TRUE(vk.reserve_scratch(counted.counts().scratch_peak_bytes));
        auto recorded =
            vk.record("sample", [&](Ops& ops) { ops.sample(logits.on(Side::device), tables(Side::device)); });
        EXPECT_TRUE(recorded) << recorded.error().message;
        program_ = std::move(*recorded);
    }

    uint32_t& word(uint32_t row, uint32_t index) { return words_[row * kParamWords + index]; }
    SampleTables tables(Side side) const {
        return {params.ids(side), n_history_ > 0 ? history.ids(side) : U32View{}, tokens.ids(side), results.ids(side)};
    }

    /// Runs both sides; every word of every result must agree, and nothing else may change.
    void run_and_compare() {
        params.integers(words_);
        for (Twin* twin : all()) twin->to_device();
        const auto ran = vk_.run(*program_);
        ASSERT_TRUE(ran) << ran.error().message;
        for (Twin* twin : all()) twin->from_device();
        HostStorage scratch("scratch", 1 << 20);
        RefOps ref(scratch);
        ref.sample(logits.on(Side::host), tables(Side::host));
        for (Twin* twin : all()) twin->expect_same_bytes();
    }
    uint32_t chosen(uint32_t row) const { return read_u32(results.ids(Side::host))[row * kResultWords + kResultId]; }
    uint32_t status(uint32_t row) const {
        return read_u32(results.ids(Side::host))[row * kResultWords + kResultStatus];
    }

    Twin logits, params, history, tokens, results;

  private:
    std::array<Twin*, 5> all() { return {&logits, &params, &history, &tokens, &results}; }

    VkBackend& vk_;
    uint32_t n_history_;
    std::vector<uint32_t> words_;
    std::unique_ptr<Program> program_;
};

class Sample : public KernelTest {
  protected:
    template <class T>
    T pick(std::initializer_list<T> values) {
        return values.begin()[random_() % values.size()];
    }

    void random_params(Rows& rows, uint32_t row, uint32_t n_vocab) {
        rows.word(row, kParamFlags) = (random_() % 8 == 0 ? kWantsGreedy : 0u) | (random_() % 2 ? kWantsTopP : 0u) |
                                      (random_() % 2 ? kWantsMinP : 0u) | (random_() % 2 ? kWantsSum : 0u);
        rows.word(row, kParamTopK) = pick<uint32_t>(
            {0, 0, 1, 2, 40, 40, 1000, n_vocab, n_vocab + 5, static_cast<uint32_t>(random_() % n_vocab)});
        rows.word(row, kParamHeadShare) =
            pick<uint32_t>({0, 1, 0x80000000u, 0xF3333333u, 0xFFFFFF00u, static_cast<uint32_t>(random_())});
        rows.word(row, kParamLogMinP) = bits_of(pick<float>({0.0f, -0.1f, -2.99573f, -7.0f, -20.0f, -50.0f}));
        rows.word(row, kParamRate) = bits_of(kOctavesPerUnit / pick<float>({0.01f, 0.5f, 0.8f, 1.0f, 2.0f, 1e4f}));
        for (const uint32_t word : {kParamSeed, kParamSeed + 1, kParamDraw, kParamDraw + 1})
            rows.word(row, word) = static_cast<uint32_t>(random_());
    }

    /// Logits as models give them, and as no model should: few values, one value, many of -infinity, very wide.
    std::vector<float> random_row(uint32_t n_vocab) {
        std::normal_distribution<float> bell;
        std::vector<float> row(n_vocab);
        const auto kind = static_cast<uint32_t>(random_() % 6);
        const float wide = pick<float>({0.1f, 3.0f, 3.0f, 30.0f});
        for (float& x : row) {
            x = bell(random_) * wide;
            if (kind == 1) x = std::round(x);
            if (kind == 2) x = 1.5f;
            if (kind == 3 && random_() % 4 != 0) x = -kInfinity;
            if (kind == 4) x = pick<float>({0.0f, -0.0f, 1e-40f, -1e-39f, 1e30f, -1e30f, 1.0f});
        }
        if (kind == 3) row[random_() % n_vocab] = 0.25f;
        if (kind == 5) row[random_() % n_vocab] = 60;
        return row;
    }

    void run_random(VkBackend& vk, uint32_t n_rows, uint32_t n_vocab, int n_runs) {
        Rows rows(vk, n_rows, n_vocab);
        for (int run = 0; run < n_runs && !HasFailure(); ++run) {
            for (uint32_t r = 0; r < n_rows; ++r) {
                write_row(rows.logits.on(Side::host), r, random_row(n_vocab));
                random_params(rows, r, n_vocab);
            }
            rows.run_and_compare();
        }
    }
};

TEST_F(Sample, ChoosesWhatTheOracleChooses) {
    for (const uint32_t n_vocab : {1u, 2u, 7u, 33u, 97u, 255u, 256u, 257u}) run_random(backend(), 64, n_vocab, 12);
    run_random(backend(), 64, 1000, 40);
    run_random(backend(), 33, 5000, 6);
}

TEST_F(Sample, WithTheShapesOfACard) {
    for (const uint32_t n_vocab : {1u, 33u, 97u}) run_random(backend(true), 16, n_vocab, 4);
    run_random(backend(true), 8, 5000, 8);
    run_random(backend(true), 2, 33000, 4);
}

TEST_F(Sample, LargeVocabularies) {
    run_random(backend(), 4, 151936, 3);
    run_random(backend(), 2, 262144, 3);
    run_random(backend(true), 1, 151937, 3);
}

TEST_F(Sample, DamagedAndImpossibleRowsSaySo) {
    Rows rows(backend(), 6, 300);
    const float nan = std::nanf("");
    const std::vector<std::pair<uint32_t, float>> damage[6] = {
        {{7, nan}}, {{200, -nan}, {100, kInfinity}}, {{299, kInfinity}}, {{0, nan}}, {}, {}};
    for (uint32_t r = 0; r < 6; ++r) {
        std::vector<float> row(300, r == 4 ? -kInfinity : 1.0f);
        for (const auto& [id, value] : damage[r]) row[id] = value;
        write_row(rows.logits.on(Side::host), r, row);
        random_params(rows, r, 300);
        rows.word(r, kParamFlags) = r % 2 == 0 ? kWantsGreedy : kWantsSum;
    }
    rows.run_and_compare();
    const uint32_t ids[] = {7, 100, 299, 0};
    for (uint32_t r = 0; r < 4; ++r) {
        EXPECT_EQ(rows.status(r), kDamaged);
        EXPECT_EQ(rows.chosen(r), ids[r]);
    }
    EXPECT_EQ(rows.status(4), kImpossible);
    EXPECT_EQ(rows.status(5), kChosen);
}

TEST_F(Sample, GreedyTakesTheLowestIdOfATie) {
    for (const bool gpu : {false, true}) {
        Rows rows(backend(gpu), 1, 9000);
        std::vector<float> row(9000, -1.0f);
        row[8999] = row[5000] = row[5001] = 3.0f;
        write_row(rows.logits.on(Side::host), 0, row);
        rows.word(0, kParamFlags) = kWantsGreedy;
        rows.run_and_compare();
        EXPECT_EQ(rows.chosen(0), 5000u);
    }
}

// The ring goes around twice; tokens are seen again, among them one that no vocabulary has.
TEST_F(Sample, PenaltiesFollowTheHistory) {
    for (const bool gpu : {false, true}) {
        constexpr uint32_t kVocab = 50;
        Rows rows(backend(gpu), 1, kVocab, 7);
        rows.history.integers({3, 3, 4, 4, 12345, 0, 0, 0, 0});
        rows.word(0, kParamRepetition) = bits_of(1.3f);
        rows.word(0, kParamInverse) = bits_of(1 / 1.3f);
        rows.word(0, kParamFrequency) = bits_of(0.37f);
        rows.word(0, kParamPresence) = bits_of(0.11f);
        rows.word(0, kParamRate) = bits_of(kOctavesPerUnit);
        for (uint32_t draw = 0; draw < 20; ++draw) {
            write_row(rows.logits.on(Side::host), 0, random_row(kVocab));
            rows.word(0, kParamFlags) = kWantsPenalties | (draw % 2 == 0 ? kWantsGreedy : kWantsTopP);
            rows.word(0, kParamHeadShare) = 0xE0000000u;
            rows.word(0, kParamDraw) = draw;
            rows.run_and_compare();
        }
        EXPECT_EQ(read_u32(rows.history.ids(Side::host))[0], 7u);
    }
}

// 99.9 % point of chi-squared with 4 degrees of freedom: 18.5.
TEST_F(Sample, DrawsTheDistribution) {
    constexpr uint32_t kRows = 1000;
    const std::vector<double> expected = {0.4, 0.3, 0.15, 0.1, 0.05};
    Rows rows(backend(), kRows, 5);
    std::vector<float> row;
    for (const double p : expected) row.push_back(static_cast<float>(std::log(p)) + 3);
    std::vector<int> counts(5);
    for (uint32_t run = 0; run < 10; ++run) {
        for (uint32_t r = 0; r < kRows; ++r) {
            write_row(rows.logits.on(Side::host), r, row);
            rows.word(r, kParamRate) = bits_of(kOctavesPerUnit);
            rows.word(r, kParamSeed) = 5;
            rows.word(r, kParamDraw) = run * kRows + r;
        }
        rows.run_and_compare();
        for (uint32_t r = 0; r < kRows; ++r) ++counts[rows.chosen(r)];
    }
    double chi_squared = 0;
    for (size_t i = 0; i < 5; ++i) {
        const double mean = 10 * kRows * expected[i];
        chi_squared += (counts[i] - mean) * (counts[i] - mean) / mean;
    }
    EXPECT_LT(chi_squared, 18.5);
}

}  // namespace
}  // namespace atlas::test
