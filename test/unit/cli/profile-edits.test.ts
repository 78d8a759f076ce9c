import { describe, expect, test } from 'vitest';
import { editedProfile, NO_PROFILE, type ProfileEdits, profileNotes, thresholdText } from '../../../src/cli/devices/profile-edits.ts';
import { highTemperatureRule } from '../../../src/core/alert-rule.ts';

const NOTHING: ProfileEdits = { label: [], threshold: [], disable: [], enable: [], unset: [] };
const edited = (edits: Partial<ProfileEdits>, before = NO_PROFILE) => editedProfile('d1', before, { ...NOTHING, ...edits });

describe('edits of a profile', () => {
  test('add, replace and take away, and leave the rest', () => {
    const first = edited({ label: ['site=hall-3', 'note=a=b'], threshold: ['hot=90', 'cold=-5.5,deadband=0,WARNING=-10,CRITICAL=-20'] });
    expect(first).toEqual({
      labels: { note: 'a=b', site: 'hall-3' },
      thresholds: {
        hot: { threshold: 90, deadband: null, levels: null },
        cold: {
          threshold: -5.5,
          deadband: 0,
          levels: [
            { threshold: -10, severity: 'WARNING' },
            { threshold: -20, severity: 'CRITICAL' },
          ],
        },
      },
      disabledRules: [],
    });
    const second = edited({ label: ['site=hall-4'], unset: ['note', 'cold'], disable: ['hot', 'b', 'a', 'a'] }, first);
    expect(second).toEqual({ labels: { site: 'hall-4' }, thresholds: { hot: first.thresholds['hot'] }, disabledRules: ['a', 'b', 'hot'] });
    expect(edited({ unset: ['site', 'hot'], enable: ['a', 'b'] }, second)).toEqual(NO_PROFILE);
  });

  test.each<[Partial<ProfileEdits>, string]>([
    [{ label: ['site'] }, '--label "site": write it like --label site=hall-3'],
    [{ label: ['site='] }, 'write it like'],
    [{ label: ['7up=x'] }, '"7up" is no name of a label'],
    [{ label: ['__proto__=x'] }, '"__proto__" is no name of a label'],
    [{ label: [`note=${'x'.repeat(257)}`] }, 'the label note must have 1 to 256 characters'],
    [{ label: Array.from({ length: 33 }, (_, index) => `l${index}=x`) }, 'it has 33 labels; at most 32 are allowed'],
    [{ threshold: ['hot=warm'] }, '--threshold hot: "warm" is no number'],
    [{ threshold: ['hot=1e999'] }, '"1e999" is no number'],
    [{ threshold: ['hot=90,deadband=-1'] }, 'the deadband of hot is no number of at least 0'],
    [{ threshold: ['hot=90,LOUD=100'] }, 'after the threshold come deadband=N and levels like CRITICAL=110, not "LOUD=100"'],
    [{ threshold: ['hot rule=90'] }, '"hot rule" is no id of a rule'],
    [{ disable: ['a b'] }, '"a b" is no id of a rule'],
    [{ unset: ['site'] }, '--unset site: d1 has no label and no threshold of this name'],
  ])('%j are refused', (edits, problem) => {
    expect(() => edited(edits)).toThrow(problem);
  });

  test('a threshold is shown as it is given', () => {
    for (const text of ['hot=90', 'hot=90,deadband=3', 'hot=90,CRITICAL=110', 'hot=-1.5,deadband=0,WARNING=1,CRITICAL=2']) {
      const { thresholds } = edited({ threshold: [text] });
      expect(thresholdText('hot', thresholds['hot']!)).toBe(text);
    }
  });
});

describe('what is doubtful beside the rules', () => {
  const rules = [highTemperatureRule(100, 5)];
  const noteOf = (threshold: readonly string[], disable: readonly string[] = []) => {
    const edits = { label: [], threshold, disable, enable: [], unset: [] };
    return profileNotes(rules, editedProfile('d1', NO_PROFILE, edits), edits).join();
  };

  test('a rule that is not among them', () => {
    expect(noteOf(['too-hot=90'])).toBe('the rules of this configuration are high-temperature; there is no too-hot among them.');
    expect(noteOf([], ['too-hot'])).toContain('no too-hot');
  });

  test.each(['high-temperature=90,CRITICAL=110', 'high-temperature=90,CRITICAL=80'])('a level that is none: %s', (text) => {
    expect(noteOf([text])).toMatch(/^high-temperature is CRITICAL above 90 there; CRITICAL=\d+ lies no further above /);
  });

  test('nothing', () => expect(noteOf(['high-temperature=90,deadband=3'], ['high-temperature'])).toBe(''));
});
