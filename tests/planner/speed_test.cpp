// Predicted decode speeds against figures that others measured.
#include "runtime/planner/speed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iostream>
#include <map>
#include <set>
#include <span>
#include <sstream>

#include "tests/planner/published_speeds.h"

namespace atlas {
namespace {

const Catalogue& catalogue() {
    static const Catalogue loaded = *load_catalogue({});
    return loaded;
}

// One measured row: what the factors are fitted on.
struct MeasuredDecode {
    double bandwidth_gbps = 0;
    double memory_bytes = 0;  // of the card
    double file_bytes = 0;
    double tokens_per_s = 0;
    DecodeLoad load;
};
// Whether a row can be what it claims: plain decoding from the card's own memory. It cannot where the tokens would
// need more bytes than the memory delivers at its full bandwidth (then several tokens shared a pass over the weights:
// speculation, or a smaller model than the one named), nor where the file is larger than the memory (then the speed is
// the host's).
bool is_plain_decoding(const MeasuredDecode& row) {
    return row.load.weight_bytes * row.tokens_per_s <= row.bandwidth_gbps * 1e9 && row.file_bytes <= row.memory_bytes;
}

// The efficiency and cost per layer with the least sum of |log(predicted / measured)| over the rows that are plain
// decoding (grid search: efficiency 0.40 .. 1.00, cost 0 .. 0.20 ms).
SpeedFactors fit_factors(const SpeedFacts& facts, double recurrent_factor, std::span<const MeasuredDecode> rows) {
    SpeedFactors best;
    double least = INFINITY;
    for (int e = 40; e <= 100; ++e) {
        for (int c = 0; c <= 200; c += 2) {
            SpeedFactors tried;
            tried.efficiency = e / 100.0;
            tried.ms_per_layer = c / 1000.0;
            tried.recurrent_factor = recurrent_factor;
            double sum = 0;
            for (const MeasuredDecode& row : rows) {
                if (!is_plain_decoding(row)) continue;
                tried.bandwidth_gbps = row.bandwidth_gbps;
                sum += std::abs(std::log(decode_ms(facts, tried, row.load) * row.tokens_per_s / 1000));
            }
            if (sum >= least) continue;
            least = sum;
            best = tried;
        }
    }
    return best;
}

struct Row {
    const Card* card = nullptr;
    std::string engine, model;
    MeasuredDecode measured;
};

// Every row as it stands in the file, plain decoding or not.
std::vector<Row> published_rows() {
    std::ifstream csv(ATLAS_TEST_DATA "/golden/decode_speeds.csv");
    std::string line;
    std::getline(csv, line);
    std::vector<Row> rows;
    while (std::getline(csv, line)) {
        std::stringstream in(line);
        std::string card, engine, model, quant, speed;
        std::getline(in, card, ',');
        std::getline(in, engine, ',');
        std::getline(in, model, ',');
        std::getline(in, quant, ',');
        std::getline(in, speed, ',');
        const auto* found = catalogue().find_model(model).value();
        const ModelSize size = size_of(found->shape, quant, false).value();
        Row row{catalogue().find_card(card).value(), engine, model, {}};
        row.measured = {row.card->bandwidth_gbps, double(row.card->memory_bytes), double(size.file_bytes),
                        std::stod(speed), decode_load(found->shape, size, 0)};
        rows.push_back(std::move(row));
    }
    return rows;
}

std::vector<Row> measured_rows() {
    std::vector<Row> rows = published_rows();
    std::erase_if(rows, [](const Row& row) { return !is_plain_decoding(row.measured); });
    return rows;
}

// The class of the catalogue that the card belongs to.
const SpeedClass& class_of(const Card& card) {
    const auto& classes = catalogue().speed.classes;
    return *std::find_if(classes.begin(), classes.end(), [&](const SpeedClass& c) {
        return (c.vendor.empty() || c.vendor == card.vendor) && card.arch.starts_with(c.arch_prefix);
    });
}

// What a class is fitted on: of vendors with several engines the one that runs the same interface as ours.
bool is_for_fits(const Row& row) { return row.card->vendor != "AMD" || row.engine == "vulkan"; }

Range predicted(SpeedFactors factors, const Row& row) {
    factors.bandwidth_gbps = row.card->bandwidth_gbps;
    return decode_speed(catalogue().speed, factors, row.measured.load);
}

Judged judged(const SpeedFactors& factors, const Row& row) {
    return {row.measured.tokens_per_s, predicted(factors, row)};
}

TEST(Speed, ARowAboveTheRoofOrOfAFileThatDoesNotFitIsNoPlainDecoding) {
    const Card& card = *catalogue().find_card("RTX 3090").value();
    const auto& shape = catalogue().find_model("qwen3.6-27b").value()->shape;
    const ModelSize size = size_of(shape, "Q4_K_M", false).value();
    MeasuredDecode row{card.bandwidth_gbps, double(card.memory_bytes), double(size.file_bytes), 41,
                       decode_load(shape, size, 0)};
    EXPECT_TRUE(is_plain_decoding(row));
    row.tokens_per_s = 106;  // published for this card and model, and 1.8 times what its memory delivers
    EXPECT_FALSE(is_plain_decoding(row));
    row.tokens_per_s = 41;
    row.memory_bytes = 12e9;
    EXPECT_FALSE(is_plain_decoding(row));
    // Such rows change no fit.
    const std::vector<Row> rows = measured_rows();
    std::vector<MeasuredDecode> clean;
    for (const Row& r : rows) clean.push_back(r.measured);
    std::vector<MeasuredDecode> with = clean;
    row = {card.bandwidth_gbps, double(card.memory_bytes), double(size.file_bytes), 243, decode_load(shape, size, 0)};
    with.insert(with.end(), 45, row);
    const SpeedFactors a = fit_factors(catalogue().speed, 2, clean), b = fit_factors(catalogue().speed, 2, with);
    EXPECT_EQ(a.efficiency, b.efficiency);
    EXPECT_EQ(a.ms_per_layer, b.ms_per_layer);
}

// The promise of the band, for a card that was not measured: its class is fitted without it, and four of five of its
// configurations are inside the band that the catalogue prints.
TEST(Speed, TheBandHoldsForCardsThatWereLeftOut) {
    const std::vector<Row> rows = measured_rows();
    ASSERT_GE(rows.size(), 70u);
    std::set<const Card*> cards;
    for (const Row& row : rows) cards.insert(row.card);
    std::map<std::string, std::vector<Judged>> by_vendor;
    std::vector<Judged> all;
    for (const Card* left_out : cards) {
        const SpeedClass& its_class = class_of(*left_out);
        std::vector<MeasuredDecode> fitted;
        std::set<const Card*> others;
        for (const Row& row : rows) {
            if (row.card == left_out || &class_of(*row.card) != &its_class || !is_for_fits(row)) continue;
            fitted.push_back(row.measured);
            others.insert(row.card);
        }
        if (others.size() < 2) continue;  // alone in its class: the next test
        SpeedFactors factors = fit_factors(catalogue().speed, its_class.recurrent_factor, fitted);
        factors.band = its_class.band;
        factors.band_other = its_class.band_other;
        for (const Row& row : rows) {
            if (row.card != left_out) continue;
            by_vendor[row.card->vendor].push_back(judged(factors, row));
            all.push_back(judged(factors, row));
        }
    }
    for (const auto& [vendor, held_out] : by_vendor) {
        std::cout << vendor << ": " << errors_of(held_out) << "\n";
        EXPECT_GE(errors_of(held_out).inside, 0.8) << vendor;
    }
    const Errors errors = errors_of(all);
    std::cout << "all: " << errors << "\n";
    EXPECT_GE(all.size(), 60u);
    EXPECT_LE(errors.median, 0.15);
    EXPECT_LE(errors.p90, 0.35);
    EXPECT_GE(errors.inside, 0.8);
}

// A class without measurements is predicted by the last row of the catalogue. Its band is wider, and holds for each
// measured class treated as one.
TEST(Speed, TheBandOfAnUnmeasuredClassIsWiderAndHolds) {
    SpeedFactors unknown = factors_of(catalogue(), Card());
    ASSERT_TRUE(unknown.estimated);
    std::vector<Judged> all;
    for (const Row& row : measured_rows()) all.push_back(judged(unknown, row));
    const Errors errors = errors_of(all);
    std::cout << "as an unknown class: " << errors << "\n";
    EXPECT_GE(errors.inside, 0.8);
    for (const SpeedClass& c : catalogue().speed.classes) {
        if (c.estimated) {
            EXPECT_EQ(c.band.low, unknown.band.low) << c.vendor << " " << c.arch_prefix;
        } else {
            EXPECT_GT(c.band.low, unknown.band.low) << c.vendor << " " << c.arch_prefix;
        }
    }
}

TEST(Speed, TheBuiltInClassesAreNearWhatWasMeasured) {
    std::vector<Judged> all;
    for (const Row& row : measured_rows()) {
        if (is_for_fits(row) && !class_of(*row.card).estimated)
            all.push_back(judged(factors_of(catalogue(), *row.card), row));
    }
    const Errors errors = errors_of(all);
    std::cout << "built in: " << errors << "\n";
    EXPECT_LE(errors.median, 0.12);
    EXPECT_LE(errors.p90, 0.25);
    EXPECT_GE(errors.inside, 0.8);
}

TEST(Speed, ABareAmountOfMemoryHasTheBandOfAllCardsThatHaveIt) {
    const Card &slow = *catalogue().find_card("RTX 4060 Ti 16GB").value(),
               &fast = *catalogue().find_card("RTX 5080").value();
    const SpeedFactors between = factors_between(catalogue(), slow, fast);
    const auto& shape = catalogue().find_model("qwen2.5-coder-14b").value()->shape;
    const DecodeLoad load = decode_load(shape, size_of(shape, "Q4_K_M", false).value(), 0);
    const Range range = decode_speed(catalogue().speed, between, load);
    for (const Card* card : {&slow, &fast}) {
        const Range own = decode_speed(catalogue().speed, factors_of(catalogue(), *card), load);
        EXPECT_GT(own.likely, range.low) << card->name;
        EXPECT_LT(own.likely, range.high) << card->name;
    }
    EXPECT_GT(range.high / range.low, 3) << "960 against 288 GB/s";
}

TEST(Speed, SpeculationPaysOnlyWhenEnoughIsAccepted) {
    EXPECT_NEAR(speculation_speedup(0.0, 4, 1.36, 0.1), 1 / 1.76, 1e-9);
    EXPECT_NEAR(speculation_speedup(1.0, 4, 1.0, 0.0), 5.0, 1e-9);
    EXPECT_EQ(best_speculation(0.05, 0.3).length, 0u) << "then it is off";
    EXPECT_GT(best_speculation(0.8, 0.05).speedup, best_speculation(0.6, 0.05).speedup);
    EXPECT_GT(best_speculation(0.6, 0.05).speedup, 1.2);
}

TEST(Speed, EnergyOfAMillionTokens) {
    const Energy energy = energy_of(350, 35, 0.30);
    EXPECT_NEAR(energy.joules_per_token, 10, 1e-9);
    EXPECT_NEAR(energy.usd_per_million_tokens, 10e6 / 3.6e6 * 0.30, 1e-9);
}

}  // namespace
}  // namespace atlas
