#pragma once
// What steps of different sizes cost relative to each other, on a machine whose speed changes while other programs
// come and go.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace atlas {

/// The median of the last few values, so that one slow sample, such as a step that the machine delayed, does not
/// count.
class RecentMedian {
  public:
    void add(double value);
    double median() const;  // the lower of two; 0: no value yet
    size_t size() const { return n_; }
    bool empty() const { return n_ == 0; }

  private:
    static constexpr size_t kKept = 9;
    std::array<double, kKept> values_{};
    size_t n_ = 0, next_ = 0;
};

/// Costs of kinds of steps, in steps of the reference kind. A step's time is never compared with times from long ago:
/// it is paired with steps of other kinds that ran just before it and whose costs are known, and a cost is the median
/// of such pairs. A machine that becomes three times slower for a while therefore changes nothing. Pure: knows no
/// clock.
class StepCosts {
  public:
    /// Without `reference` the first kind that is measured is the reference.
    explicit StepCosts(size_t n_kinds, std::optional<size_t> reference = {}) : kinds_(n_kinds), reference_(reference) {}

    /// A step took `ms`; call it for all steps in their order.
    void add(size_t kind, double ms);

    /// Whether cost() is measured rather than expected; the reference is measured once one step of it ran.
    bool measured(size_t kind) const { return cost(kind) > 0; }
    /// Whether enough pairs were seen to rely on this kind's cost.
    bool known(size_t kind) const;
    /// Whether a step of this kind, if it ran next, could be paired with the steps before it: two of them, because
    /// one may have been delayed.
    bool can_pair(size_t kind) const { return neighbours(kind).n >= 2; }
    /// In steps of the reference kind; 0: no pair yet.
    double cost(size_t kind) const;
    /// What a step of the reference kind takes now, in milliseconds; 0: not known.
    double pace_ms() const;

  private:
    struct Recent {
        size_t kind = 0;
        double pace_ms = 0;  // its time over its cost; 0: not known
    };
    static constexpr size_t kKept = 5;    // steps that pace_ms() looks at
    static constexpr size_t kNear = 3;    // steps back that a step is paired with
    static constexpr size_t kEnough = 3;  // pairs for known()
    // runs of a kind that was rarely paired, after which the pairs it has must suffice
    static constexpr size_t kLongRun = 8;

    struct Kind {
        RecentMedian pairs;
        size_t n_runs = 0;
    };

    struct Pace {
        size_t n = 0;          // how many steps median_ms is the median of (of two values, the lower one)
        double median_ms = 0;  // 0: none
    };
    // Over the last n_steps, of those whose costs are known and that are not of kind `without`.
    Pace pace_of(size_t n_steps, std::optional<size_t> without) const;
    Pace neighbours(size_t kind) const { return pace_of(kNear, kind); }

    std::vector<Kind> kinds_;
    std::optional<size_t> reference_;
    std::array<Recent, kKept> recent_{};  // step number i at i % kKept
    size_t n_steps_ = 0;
};

}  // namespace atlas
