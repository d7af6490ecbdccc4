#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "quant/codec.h"
#include "quant/half.h"

namespace atlas {
namespace {

// The numbers of tests/golden/quant/measure_reference.c, made in the same way.
class SplitMix {
  public:
    explicit SplitMix(uint64_t seed) : state_(seed) {}
    uint64_t next() {
        uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        return z ^ (z >> 31);
    }
    double uniform() { return (static_cast<double>(next() >> 11) + 0.5) * 0x1p-53; }
    double gaussian() {
        const double radius = std::sqrt(-2.0 * std::log(uniform()));
        return radius * std::cos(6.283185307179586 * uniform());
    }

  private:
    uint64_t state_;
};

constexpr size_t kRows = 64, kColumns = 1024;

struct Rows {
    std::vector<float> x = std::vector<float>(kRows * kColumns);
    std::vector<float> weight = std::vector<float>(kColumns);
};

const Rows& gaussian_rows() {
    static const Rows rows = [] {
        Rows out;
        SplitMix random(42);
        for (float& value : out.x) value = static_cast<float>(0.02 * random.gaussian());
        for (float& value : out.weight) value = static_cast<float>(std::exp(random.gaussian()));
        return out;
    }();
    return rows;
}

std::vector<float> round_trip(Format format, std::span<const float> x, std::span<const float> importance = {}) {
    std::vector<std::byte> bytes(bytes_of(format, x.size()));
    std::vector<float> y(x.size());
    quantize_row(format, x, bytes, importance);
    dequantize_row(format, bytes, y);
    return y;
}

// Relative root mean square error over all rows, by weight where there is one.
double relative_error(Format format, bool weighted) {
    const Rows& rows = gaussian_rows();
    double error = 0, norm = 0;
    for (size_t row = 0; row < kRows; ++row) {
        const auto x = std::span(rows.x).subspan(row * kColumns, kColumns);
        const auto y = round_trip(format, x, weighted ? std::span<const float>(rows.weight) : std::span<const float>());
        for (size_t i = 0; i < kColumns; ++i) {
            const double w = weighted ? rows.weight[i] : 1.0;
            error += w * (x[i] - y[i]) * (x[i] - y[i]);
            norm += w * x[i] * x[i];
        }
    }
    return std::sqrt(error / norm);
}

// What libggml 0.27.0's own quantizers reach on these rows, without and with the weights: the output of
// measure_reference.c.
struct Reference {
    Format format;
    double plain;
    double weighted;
};

constexpr Reference kReference[] = {
    {Format::q4_0, 0.0851289, 0.0765784},   {Format::q4_1, 0.0779049, 0.0632785},
    {Format::q5_0, 0.0426270, 0.0383365},   {Format::q5_1, 0.0376212, 0.0305762},
    {Format::q8_0, 0.0053364, 0.0053446},   {Format::q2_k, 0.2952258, 0.2348865},
    {Format::q3_k, 0.1508889, 0.1340608},   {Format::q4_k, 0.0711296, 0.0643216},
    {Format::q5_k, 0.0358761, 0.0326428},   {Format::q6_k, 0.0177574, 0.0161222},
    {Format::iq4_nl, 0.0760805, 0.0701401}, {Format::iq4_xs, 0.0766831, 0.0709339},
    {Format::mxfp4, 0.1133535, 0.1125364},
};

class AgainstThePeer : public testing::TestWithParam<Reference> {};
INSTANTIATE_TEST_SUITE_P(Formats, AgainstThePeer, testing::ValuesIn(kReference),
                         [](const auto& row) { return std::string(atlas::info(row.param.format).name); });

TEST_P(AgainstThePeer, ErrorIsAtMostThreePercentAboveIts) {
    const double plain = relative_error(GetParam().format, false);
    const double weighted = relative_error(GetParam().format, true);
    EXPECT_LE(plain, 1.03 * GetParam().plain);
    EXPECT_LE(weighted, 1.03 * GetParam().weighted);
    RecordProperty("plain_over_peer", std::to_string(plain / GetParam().plain));
    RecordProperty("weighted_over_peer", std::to_string(weighted / GetParam().weighted));
}

std::vector<Format> all_formats() {
    std::vector<Format> out;
    for (size_t i = 0; i < kFormats.size(); ++i) out.push_back(static_cast<Format>(i));
    return out;
}

class Quantize : public testing::TestWithParam<Format> {};
INSTANTIATE_TEST_SUITE_P(Formats, Quantize, testing::ValuesIn(all_formats()),
                         [](const auto& row) { return std::string(atlas::info(row.param).name); });

// Blocks do not depend on their neighbours, each gets its own weights, and nothing is written beside the row.
TEST_P(Quantize, RowsAreTheirBlocksOneByOne) {
    const Format format = GetParam();
    const size_t elems = info(format).block_elems, bytes = info(format).block_bytes;
    SplitMix random(7);
    for (const size_t n_blocks : {0u, 1u, 2u, 7u}) {
        std::vector<float> x(n_blocks * elems), weight(n_blocks * elems);
        for (float& value : x) value = static_cast<float>(random.gaussian());
        for (float& value : weight) value = static_cast<float>(random.uniform());
        for (const bool weighted : {false, true}) {
            const auto importance = weighted ? std::span<const float>(weight) : std::span<const float>();
            std::vector<std::byte> row(n_blocks * bytes + 2, std::byte{0xA5});
            quantize_row(format, x, std::span(row).subspan(1, n_blocks * bytes), importance);
            for (size_t at = 0; at < n_blocks; ++at) {
                std::vector<std::byte> block(bytes);
                quantize_row(format, std::span(x).subspan(at * elems, elems), block,
                             weighted ? importance.subspan(at * elems, elems) : importance);
                ASSERT_EQ(std::memcmp(block.data(), row.data() + 1 + at * bytes, bytes), 0) << "block " << at;
            }
            EXPECT_EQ(row.front(), std::byte{0xA5});
            EXPECT_EQ(row.back(), std::byte{0xA5});
        }
    }
}

TEST_P(Quantize, ZerosStayZero) {
    for (const float value : round_trip(GetParam(), std::vector<float>(512, 0.0f))) ASSERT_EQ(value, 0.0f);
}

// The largest and the smallest singles, a lone outlier, and a constant row: never an infinity or a NaN out of finite
// values.
TEST_P(Quantize, FiniteStaysFinite) {
    if (GetParam() == Format::f16 || GetParam() == Format::bf16)
        GTEST_SKIP() << "has no scale to hold back an overflow";
    const float largest = std::numeric_limits<float>::max();
    for (const float size :
         {largest, 1e30f, 7e4f, 1.0f, 1e-7f, 1e-12f, 1e-30f, std::numeric_limits<float>::denorm_min()}) {
        for (const int pattern : {0, 1, 2, 3}) {
            std::vector<float> x(256);
            for (size_t i = 0; i < x.size(); ++i) {
                const float sign = i % 2 == 0 ? 1.0f : -1.0f;
                const float ramp = static_cast<float>(i) / 256.0f;
                x[i] = size * (pattern == 0   ? 1.0f
                               : pattern == 1 ? sign
                               : pattern == 2 ? ramp
                               : i == 100     ? -1.0f
                                              : 1e-4f);
            }
            for (const float value : round_trip(GetParam(), x)) {
                ASSERT_TRUE(std::isfinite(value)) << "size " << size << " pattern " << pattern;
            }
        }
    }
}

// What comes out is unspecified, but undefined behaviour (a cast of a NaN to an integer) would be seen by the
// sanitizer.
TEST_P(Quantize, NonFiniteValuesDoNoHarm) {
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                            -std::numeric_limits<float>::infinity()}) {
        for (const size_t n_bad : {1u, 256u}) {
            std::vector<float> x(256, 0.5f);
            std::fill_n(x.begin(), n_bad, bad);
            EXPECT_EQ(round_trip(GetParam(), x).size(), x.size());
        }
    }
}

TEST_P(Quantize, ZeroImportanceIsNoImportance) {
    const auto x = std::span(gaussian_rows().x).first(256);
    EXPECT_EQ(round_trip(GetParam(), x, std::vector<float>(256, 0.0f)), round_trip(GetParam(), x));
}

TEST(QuantizeFloats, KeepWhatTheyCanHold) {
    const auto x = std::span(gaussian_rows().x).first(256);
    EXPECT_EQ(round_trip(Format::f32, x), std::vector<float>(x.begin(), x.end()));
    for (const Format format : {Format::f16, Format::bf16}) {
        const auto once = round_trip(format, x);
        EXPECT_EQ(round_trip(format, once), once);
        const float step = format == Format::f16 ? 0x1p-11f : 0x1p-8f;
        for (size_t i = 0; i < x.size(); ++i) ASSERT_LE(std::abs(once[i] - x[i]), step * std::abs(x[i]) + 0x1p-25f);
    }
}

// A row on the levels of the format comes back as it was: the search finds the scale that makes them so.
TEST(QuantizeLevels, ComeBackExactly) {
    std::vector<float> q8(32), q4(32), q5(32), mx(32);
    constexpr float kFp4[16] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6, 0, -0.5f, -1, -1.5f, -2, -3, -4, -6};
    for (size_t i = 0; i < 32; ++i) {
        const int at = static_cast<int>(i);
        q8[i] = 0.125f * static_cast<float>(at * 8 - 124);
        q4[i] = 0.125f * static_cast<float>(at % 16 - 8);
        q5[i] = 0.125f * static_cast<float>(at - 16);
        mx[i] = 0.125f * kFp4[i % 16];
    }
    EXPECT_EQ(round_trip(Format::q8_0, q8), q8);
    EXPECT_EQ(round_trip(Format::q4_0, q4), q4);
    EXPECT_EQ(round_trip(Format::q4_1, q4), q4);
    EXPECT_EQ(round_trip(Format::q5_0, q5), q5);
    EXPECT_EQ(round_trip(Format::q5_1, q5), q5);
    EXPECT_EQ(round_trip(Format::mxfp4, mx), mx);
}

}  // namespace
}  // namespace atlas
