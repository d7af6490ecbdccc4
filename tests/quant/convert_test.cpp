#include "quant/convert.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "quant/codec.h"

namespace atlas {
namespace {

constexpr uint64_t kRows = 517, kRowElems = 256;  // more rows than one piece of work has

std::vector<float> wave() {
    std::vector<float> x(kRows * kRowElems);
    for (size_t i = 0; i < x.size(); ++i) x[i] = std::sin(0.37f * static_cast<float>(i % 9973));
    return x;
}

ConvertJob job_of(const std::vector<float>& x, Format to, std::vector<std::byte>& out) {
    out.assign(bytes_of(to, x.size()), std::byte{0});
    return {Format::f32, to, kRowElems, std::as_bytes(std::span(x)), out, {}, 1};
}

TEST(Convert, IsQuantizeRowForEveryRowOnAnyNumberOfThreads) {
    const auto x = wave();
    std::vector<std::byte> want(bytes_of(Format::q4_k, x.size())), got;
    quantize_row(Format::q4_k, x, want);
    for (const uint32_t n_threads : {1u, 2u, 5u}) {
        ConvertJob job = job_of(x, Format::q4_k, got);
        job.n_threads = n_threads;
        EXPECT_EQ(convert_rows(job), 0u);
        EXPECT_EQ(got, want) << n_threads << " threads";
    }
}

TEST(Convert, GivesEachMatrixItsOwnWeights) {
    auto x = wave();
    x.resize(4 * kRowElems);  // two matrices of two rows
    std::vector<float> weights(2 * kRowElems, 1.0f);
    for (size_t i = 0; i < 2 * kRowElems; ++i) weights[i] = static_cast<float>(i % 7 + (i < kRowElems ? 1 : 20));
    std::vector<std::byte> got;
    ConvertJob job = job_of(x, Format::q3_k, got);
    job.importance = weights;
    convert_rows(job);
    for (size_t row = 0; row < 4; ++row) {
        std::vector<std::byte> want(bytes_of(Format::q3_k, kRowElems));
        quantize_row(Format::q3_k, std::span(x).subspan(row * kRowElems, kRowElems), want,
                     std::span(weights).subspan(row / 2 * kRowElems, kRowElems));
        EXPECT_EQ(std::memcmp(want.data(), got.data() + row * want.size(), want.size()), 0) << "row " << row;
    }
}

TEST(Convert, CountsRowsThatAreNotFinite) {
    auto x = wave();
    x[5 * kRowElems + 7] = std::numeric_limits<float>::quiet_NaN();
    x[5 * kRowElems + 8] = std::numeric_limits<float>::infinity();
    x[516 * kRowElems + 255] = -std::numeric_limits<float>::infinity();
    std::vector<std::byte> out;
    EXPECT_EQ(convert_rows(job_of(x, Format::q8_0, out)), 2u);
}

TEST(Convert, CopiesBetweenEqualFormats) {
    auto x = wave();
    x[3] = std::numeric_limits<float>::quiet_NaN();
    std::vector<std::byte> out;
    EXPECT_EQ(convert_rows(job_of(x, Format::f32, out)), 1u) << "a copied row that holds a NaN is counted, too";
    EXPECT_EQ(std::memcmp(out.data(), x.data(), out.size()), 0);
}

TEST(Convert, CountsCopiedBlocksWhoseScaleIsNotFinite) {
    std::vector<std::byte> blocks(bytes_of(Format::q8_0, 3 * kRowElems), std::byte{1}), out(blocks.size());
    const ConvertJob job{Format::q8_0, Format::q8_0, kRowElems, blocks, out, {}, 2};
    EXPECT_EQ(convert_rows(job), 0u);
    const uint16_t infinity = 0x7c00;  // the scale of a block of the second row
    std::memcpy(blocks.data() + bytes_of(Format::q8_0, kRowElems + 32), &infinity, sizeof(infinity));
    EXPECT_EQ(convert_rows(job), 1u);
    EXPECT_EQ(out, blocks);
}

}  // namespace
}  // namespace atlas
