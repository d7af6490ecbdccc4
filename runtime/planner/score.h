#pragma once
// How good a model is, in points of one scale per purpose.
//
// Coding, on the scale of SWE-bench Verified; the first of these that is published counts:
// 1. SWE-bench Verified; 2. LiveCodeBench v6; 3. aider's polyglot list; 4. aider's older list of code editing;
// 5. HumanEval. Of the first three, third parties' figures count, their median; without one the maker's, less
//    kMakersDiscount: where a third party ran a maker's set-up again it had 3.3 points less, with other agents 18 and
//    36 less. Figures of 2 to 4 are carried over by the median ratio among the models that have both; those of 5 by
//    the line through the models that have both it and 4.
// Chat: MMLU.
// A model without any figure gets the line of the others' points over log(parameters), less five points.

#include <array>
#include <optional>
#include <string>

#include "runtime/planner/catalogue.h"

namespace atlas {

enum class Purpose { coding, chat };

inline constexpr double kMakersDiscount = 5;

struct Score {
    double points = 0;
    bool estimated = false;  // not measured on the scale's own benchmark
    std::string benchmark;   // what the points were published on; empty: by size
    std::string from;        // its figure, and whose it is, where the points are others
};

/// The points of a catalogue's models, and of others on the same scale.
class Scores {
  public:
    explicit Scores(const Catalogue& catalogue);

    Score of(const CatalogueModel& model, Purpose purpose) const;

  private:
    // Least squares.
    class Line {
      public:
        void add(double x, double y) { n_ += 1, sx_ += x, sy_ += y, sxx_ += x * x, sxy_ += x * y; }
        double at(double x) const;

      private:
        double n_ = 0, sx_ = 0, sy_ = 0, sxx_ = 0, sxy_ = 0;
    };

    std::optional<Score> published(const CatalogueModel& model, Purpose purpose) const;
    std::optional<Score> coding(const CatalogueModel& model) const;

    std::array<double, 3> to_points_{1, 1, 1};  // of the published benchmarks
    double editing_to_points_ = 1;
    Line editing_of_humaneval_;
    std::array<Line, 2> by_size_;  // per purpose
};

}  // namespace atlas
