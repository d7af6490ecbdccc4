#include "tools/fit_columns.h"

#include <gtest/gtest.h>

namespace atlas::tools {
namespace {

TEST(FitColumns, WhatGoesOnStandsUnderTheSecondColumn) {
    EXPECT_EQ(fit_columns("  -q,--quiet   Print one line of figures after every answer\n", 40),
              "  -q,--quiet   Print one line of figures\n               after every answer\n");
    // A name that leaves one space before the 30th column.
    EXPECT_EQ(
        fit_columns("  --json Excludes: --template Everything as one JSON object, with arrays\n", 60),
        "  --json Excludes: --template Everything as one JSON object,\n                              with arrays\n");
}

TEST(FitColumns, WithoutColumnsUnderTheBeginning) {
    EXPECT_EQ(fit_columns("one two three four five six seven\n\nshort", 25),
              "one two three four five\nsix seven\n\nshort");
}

TEST(FitColumns, ATableThatIsTooWideIsStacked) {
    const std::string table =
        "| who | tokens/s | speed-up |\n|---|---:|---|\n| lookup | 12.5 | 1.30 |\n| draft | 9.0 | 0.94 |\n";
    EXPECT_EQ(fit_columns("above\n" + table + "\nbelow\n", 80), "above\n" + table + "\nbelow\n");
    EXPECT_EQ(fit_columns("above\n" + table + "\nbelow\n", 28),
              "above\nlookup\n  tokens/s 12.5, speed-up\n  1.30\ndraft\n  tokens/s 9.0, speed-up\n  0.94\n\nbelow\n");
    EXPECT_EQ(fit_columns("| no table but long\n| at all", 10), "| no table but long\n| at all");
}

TEST(FitColumns, CommandsAndLongWordsStayWhole) {
    const std::string command = "  atlas-vk run -m model.gguf --raw --temperature 0 prompt\n";
    EXPECT_EQ(fit_columns(command, 40), command);
    EXPECT_EQ(fit_columns("abcdefghijklmnopqrstuvwxyzabcdefghi one two", 30),
              "abcdefghijklmnopqrstuvwxyzabcdefghi\none two");
}

}  // namespace
}  // namespace atlas::tools
