// Predicted decode speeds against figures that others measured.
#include "runtime/planner/speed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>

namespace atlas {
namespace {

const Catalogue& catalogue() {
    static const Catalogue loaded = *load_catalogue({});
    return loaded;
}

struct Row {
    std::string card, engine, model;
    MeasuredDecode measured;
};

std::vector<Row> measured_rows() {
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
        rows.push_back({card, engine, model,
                        {double(size.step_bytes), catalogue().find_card(card).value()->bandwidth_gbps, found->shape.n_layer,
                         decode_load(found->shape, size, 0).many_kernels, std::stod(speed)}});
    }
    return rows;
}

double error_of(const SpeedFactors& factors, const MeasuredDecode& row) {
    SpeedFactors with = factors;
    with.bandwidth_gbps = row.bandwidth_gbps;
    const double ms = decode_ms(catalogue().speed, with, {row.weight_bytes, row.n_layer, row.many_kernels, 0});
    return std::abs(1000 / ms / row.tokens_per_s - 1);
}

// Class = vendor and engine (an engine of under four rows joins its vendor's others, as two factors need more than two rows); fitted on every
// other row of a class, tested on the rest, and the other way round.
TEST(Speed, FactorsFittedOnHalfTheRowsPredictTheOtherHalf) {
    const std::vector<Row> rows = measured_rows();
    ASSERT_GE(rows.size(), 38u);
    std::map<std::string, std::vector<MeasuredDecode>> classes;
    const auto class_of = [&](const Row& row) {
        const auto vendor = [](const Row& r) { return catalogue().find_card(r.card).value()->vendor; };
        const auto same = std::count_if(rows.begin(), rows.end(), [&](const Row& r) { return vendor(r) == vendor(row) && r.engine == row.engine; });
        return vendor(row) + (same < 4 ? " vulkan" : " " + row.engine);
    };
    for (const Row& row : rows) classes[class_of(row)].push_back(row.measured);
    std::vector<double> errors;
    for (const auto& [name, all] : classes) {
        for (const size_t parity : {0u, 1u}) {
            std::vector<MeasuredDecode> fitted, tested;
            for (size_t i = 0; i < all.size(); ++i) (i % 2 == parity ? fitted : tested).push_back(all[i]);
            if (fitted.empty()) continue;
            const SpeedFactors factors = fit_factors(catalogue().speed, fitted);
            for (const MeasuredDecode& row : tested) errors.push_back(error_of(factors, row));
        }
        const SpeedFactors factors = fit_factors(catalogue().speed, all);
        std::cout << name << ": efficiency " << factors.efficiency << ", " << factors.ms_per_layer << " ms per layer, " << all.size() << " rows\n";
    }
    std::sort(errors.begin(), errors.end());
    const double median = errors[errors.size() / 2], p90 = errors[errors.size() * 9 / 10];
    std::cout << "median error " << median << ", 90th percentile " << p90 << " over " << errors.size() << " rows\n";
    EXPECT_LE(median, 0.12);
    EXPECT_LE(p90, 0.25);
}

TEST(Speed, TheBuiltInClassesAreNearWhatWasMeasured) {
    std::vector<double> errors;
    for (const Row& row : measured_rows()) errors.push_back(error_of(factors_of(catalogue(), *catalogue().find_card(row.card).value()), row.measured));
    std::sort(errors.begin(), errors.end());
    EXPECT_LE(errors[errors.size() / 2], 0.12);
    EXPECT_LE(errors[errors.size() * 9 / 10], 0.25);
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
