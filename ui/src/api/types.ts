/** Short names for the shapes of the API. They are generated: `python scripts/page.py types`. */

import type { components } from "./schema";

type Schemas = components["schemas"];

/** An exact decimal, as text. */
export type Money = string;

export type Answer = Schemas["Answer"];
export type Coverage = Schemas["Coverage"];
export type Row = Answer["rows"][number];
export type Question = Pick<Schemas["Question"], "measures"> & Partial<Schemas["Question"]>;
export type NamedAnswer = Schemas["NamedAnswer"];
export type ChargebackAnswer = Schemas["ChargebackAnswer"];
export type ReconcileAnswer = Schemas["ReconcileAnswer"];
export type ReconcileWish = Partial<Schemas["ReconcileWish"]>;
export type ChargebackWish = Partial<Schemas["ChargebackWish"]>;
export type Call = Schemas["Call"];
export type CallPage = Schemas["CallPage"];
export type Component = keyof Schemas["CostComponents"];
export type WhyAnswer = Schemas["WhyAnswer"];
export type WhyWish = Schemas["WhyWish"];
export type Incident = Schemas["IncidentShape"];
export type IncidentPage = Schemas["IncidentPage"];
export type Action = Schemas["ActionShape"];
export type ActionWish = Schemas["ActionWish"];
export type Silence = Schemas["SilenceShape"];
export type Runbook = Schemas["RunbookShape"];
export type Limit = Schemas["LimitShape"];
export type LimitVersion = Schemas["LimitVersionShape"];
export type SqlStatement = Schemas["SqlStatement"];
export type Simulation = Schemas["SimulationAnswer"];
export type Rule = Schemas["RuleShape"];
export type RulePreview = Schemas["RulePreview"];
export type LimitValue = Schemas["LimitValue"];
export type Calculation = Schemas["Calculation"];
export type CalculatorWish = Schemas["CalculatorWish"];
export type WhatIfWish = Schemas["WhatIfWish"];
export type WhatIfAnswer = Schemas["WhatIfAnswer"];
export type SettingsAnswer = Schemas["SettingsAnswer"];
export type Section = Schemas["SectionShape"];
export type Setting = Schemas["SettingShape"];
export type Channel = Schemas["ChannelShape"];
export type ChannelTest = Schemas["ChannelTest"];
export type Forecast = Schemas["ForecastAnswer"];
export type ForecastWish = Partial<Schemas["ForecastWish"]>;
export type Me = Schemas["Me"];
export type ExplainedCost = Schemas["ExplainedCost"];
export type CostHistory = Schemas["CostHistory"];
export type ShownPrice = Schemas["ShownPrice"];
export type Rate = Schemas["Rate"];
export type UnpricedAnswer = Schemas["UnpricedAnswer"];
export type Repricing = Schemas["RepricingShape"];
export type RepriceWish = Schemas["RepriceWish"];
export type KeyInfo = Schemas["KeyInfo"];
export type Status = Schemas["Status"];
export type KeyWish = Schemas["KeyWish"];
export type NewKey = Schemas["NewKey"];
