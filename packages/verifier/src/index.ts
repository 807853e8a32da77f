export { allow, describeRequirement, judge, type Requirement } from '../../../src/domain/requirement.js'
